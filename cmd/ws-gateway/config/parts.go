package config

import (
	"ws-gateway/admin"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// What the four packages take from the configuration. Whoever wires them adds what
// ties them to each other: callbacks, clocks, logs.

// Forward is the configuration of package forward. Without [Config.CallbackReply] its
// ReplyMax is 0.
func (c *Config) Forward() forward.Config {
	fc := forward.Config{
		URL:               c.Callback,
		Concurrency:       c.CallbackConcurrent,
		Timeout:           c.CallbackTimeout,
		RetryFor:          c.CallbackRetryFor,
		QueueEvents:       c.CallbackQueue,
		QueueBytes:        int(c.CallbackQueueBytes),
		Memory:            int64(c.CallbackMemory),
		DeadLetter:        c.DeadLetter,
		DeadLetterMaxSize: int64(c.DeadLetterMaxSize),
		DeadLetterKeep:    c.DeadLetterKeep,
		TLS:               c.CallbackTLS,
		Headers:           c.headers,
		Secrets:           c.secrets,
		Batch:             c.CallbackBatch,
		Linger:            c.CallbackLinger,
		Pipeline:          c.CallbackPipeline,
		JSONDepth:         c.CallbackJSONDepth,
		Settles:           c.Authorizes(), // a connection is open only once the answer has been dealt with
	}
	if c.CallbackReply {
		fc.ReplyMax = int(c.CallbackReplyMax)
	}
	return fc
}

// Authorizes reports whether the app decides about each upgrade.
func (c *Config) Authorizes() bool { return c.CallbackOpen == "authorize" }

// Hub is the configuration of package hub that allows so many connections.
func (c *Config) Hub(connections int) hub.Config {
	hc := hub.Config{
		PingTimeout:              c.PingTimeout,
		KeepaliveAny:             c.Keepalive == "any",
		ServerPing:               c.ServerPing,
		UserHeader:               c.UserHeader,
		RequireUser:              c.RequireUser,
		AllowedOrigins:           c.AllowedOrigins,
		ForwardHeaders:           c.ForwardHeader,
		Subprotocols:             c.Subprotocols,
		MaxConnections:           connections,
		MaxConnectionsPerUser:    c.MaxPerUser,
		MaxConnectionsPerAddress: c.MaxPerIP,
		MaxGroupsPerConnection:   c.MaxGroups,
		GroupMemory:              int64(c.GroupMemory),
		ResumeEvents:             c.ResumeEvent,
		Rates: hub.Rates{
			Messages:     c.MessageRate,
			MessageBurst: c.MessageBurst,
			Bytes:        int(c.ByteRate),
			ByteBurst:    int(c.byteBurst()),
			Close:        c.RatePolicy == "close",
		},
	}
	if c.Authorizes() {
		hc.MaxPendingAuthorizations = c.MaxPendingAuths
	}
	for _, proxy := range c.TrustedProxies {
		prefix, _ := parsePrefix(proxy) // has been checked
		hc.TrustedProxies = append(hc.TrustedProxies, prefix)
	}
	return hc
}

// Netpoll is the configuration of package netpoll that allows so many handshakes.
func (c *Config) Netpoll(handshakes int) netpoll.Config {
	return netpoll.Config{
		Loops:                c.Loops,
		Path:                 c.Path,
		MaxHeaderBytes:       int(c.MaxHeaderBytes),
		AcceptRate:           c.AcceptRate,
		AcceptBurst:          c.AcceptBurst,
		MaxHandshaking:       handshakes,
		HandshakeTimeout:     c.HandshakeTimeout,
		MaxMessageSize:       int64(c.MaxMessageSize),
		MaxAssemblyMemory:    int64(c.MessageMemory),
		HeaderMemory:         int64(c.HeaderMemory),
		OutboxMemory:         int64(c.OutboxMemory),
		SocketMemory:         int64(c.SocketMemory),
		SocketBuffer:         int(c.SocketBuffer),
		MaxPendingBytes:      int(c.MaxPendingBytes),
		WriteTimeout:         c.WriteTimeout,
		CloseTimeout:         c.CloseTimeout,
		Compression:          c.Compression,
		CompressionThreshold: int(c.CompressThreshold),
		ResumeFor:            c.ResumeFor,
		ResumeBuffer:         int(c.ResumeBuffer),
		ResumeMemory:         int64(c.ResumeMemory),
	}
}

// Admin is the configuration of package admin.
func (c *Config) Admin() admin.Config {
	return admin.Config{
		ClientPath:   c.Path,
		UserHeader:   c.UserHeader,
		Token:        c.Token,
		OwnAddress:   c.AdminListen != "",
		MaxBodyBytes: int(c.MaxAPIBody),
		Memory:       int64(c.APIMemory),
		JSONDepth:    c.CallbackJSONDepth,
		Profiles:     c.Profiles,
		Version:      program.Version(),
	}
}
