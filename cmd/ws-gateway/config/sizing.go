package config

import (
	"fmt"
	"reflect"

	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/sizing"
	"ws-gateway/cmd/ws-gateway/settings"
)

// FitMemory fits the configuration to the memory limit, if there is one: options that
// bound memory and are not set become a share of it. It must follow Parse before the
// configuration is used or shown.
func (c *Config) FitMemory() { c.fit(host.MemoryLimit()) }

// fit is FitMemory for a given limit in bytes; 0 is none.

func (c *Config) fit(limit int64) {
	if limit == 0 {
		return
	}
	for i := range sizing.Budgets {
		b := &sizing.Budgets[i]
		c.setDefault(b.Option, settings.Size(max(b.Default(limit), c.least(b.Option))), limit)
	}
	c.setDefault("max-api-body", settings.Size(sizing.Body(limit)), limit)
	c.setDefault("socket-buffer", settings.Size(sizing.SocketBuffer(limit)), limit)
}

// least is what a budget must hold because of other options.
func (c *Config) least(option string) int64 {
	switch option {
	case "header-memory":
		return int64(c.MaxHeaderBytes)
	case "message-memory":
		return int64(c.MaxMessageSize)
	case "callback-memory":
		return int64(c.CallbackQueueBytes)
	case "resume-memory":
		return int64(c.ResumeBuffer)
	}
	return 0
}

// setDefault gives an option that is not set a default that follows from the memory
// limit.
func (c *Config) setDefault(option string, to settings.Size, limit int64) {
	if _, given := c.Sources[option]; given {
		return
	}
	for _, v := range c.Values {
		if v.Name == option {
			*c.budget(option) = to
			v.Target.Set(reflect.ValueOf(to)) // for what is shown
			c.Sources[option] = settings.Source(fmt.Sprintf("default under a memory limit of %v", settings.Size(limit)))
		}
	}
}

// budget is the field of an option that fit may set.
func (c *Config) budget(option string) *settings.Size {
	switch option {
	case "header-memory":
		return &c.HeaderMemory
	case "outbox-memory":
		return &c.OutboxMemory
	case "message-memory":
		return &c.MessageMemory
	case "callback-memory":
		return &c.CallbackMemory
	case "api-memory":
		return &c.APIMemory
	case "socket-memory":
		return &c.SocketMemory
	case "group-memory":
		return &c.GroupMemory
	case "resume-memory":
		return &c.ResumeMemory
	case "cluster-buffer":
		return &c.ClusterBuffer
	case "max-api-body":
		return &c.MaxAPIBody
	case "socket-buffer":
		return &c.SocketBuffer
	}
	panic("BUG: no budget " + option)
}

// Demand is what the configuration asks of the machine.
func (c *Config) Demand() *host.Demand {
	d := &host.Demand{
		Loops:          c.Loops,
		MaxConnections: c.MaxConnections, MaxHandshaking: c.MaxHandshaking, CallbackConcurrency: c.CallbackConcurrent,
		MemoryShare: c.MemoryShare, Plan: c.Plan, Relays: c.relays(),
	}
	if len(c.inherited.Clients) == 0 {
		d.Port = portOf(c.Listen)
	}
	return d
}

// Plan adds up what a gateway with this configuration may hold.
func (c *Config) Plan(connections int) *sizing.Plan {
	p := &sizing.Plan{Connections: connections, Values: map[string]int64{}}
	for i := range sizing.Budgets {
		option := sizing.Budgets[i].Option
		if option == "callback-memory" && c.Callback == "" || option == "resume-memory" && c.ResumeFor == 0 || option == "cluster-buffer" && !c.Clustered() {
			continue
		}
		p.Values[option] = int64(*c.budget(option))
	}
	p.Values["api-memory"] = sizing.APIMemory(p.Values["api-memory"], int64(c.MaxAPIBody))
	if c.Clustered() {
		buffer := max(int64(c.ClusterBuffer), int64(c.MaxAPIBody))
		p.Values["cluster-buffer"] = buffer
		p.Fixed += clusterBounds*buffer + clusterPublishing
		if n := int64(c.relays()); n > 0 {
			p.Fixed += buffer + 2*n*relayBytes
		}
	}
	if c.Callback == "" {
		return p
	}
	if c.ClusterJournal && c.Clustered() {
		p.Fixed += journalRecords
	}
	if c.CallbackReply {
		p.Fixed += replies * int64(c.CallbackReplyMax)
	}
	if c.CallbackGroups {
		p.Fixed += replies * answerGroups
	}
	if c.Journal != "" {
		p.Fixed += journalRecords
	}
	return p
}

const (
	replies        = 256      // that may be on their way to the loops: hub.Reply, hub.Regroup
	answerGroups   = 80 << 10 // names of groups in one answer: its head, and a string for every other byte of it
	journalRecords = 16 << 20 // that wait for the disk, or for JetStream: the packages journal

	clusterBounds     = 4        // of --cluster-buffer beside what is held: to be repaired, in pieces (twice), calls that wait for the router
	clusterPublishing = 16 << 20 // that wait for NATS: package natsbus
	relayBytes        = 16 << 10 // of a relayed client, or session, with its two goroutines, beside what it holds: package relay
)
