package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/textfile"
)

// checkTLS reads the certificates for callbacks over https: the authorities to trust
// instead of the system's, and the client certificate.
func (c *Config) checkTLS() error {
	if c.CallbackCA == "" && c.CallbackCert == "" && c.CallbackKey == "" {
		return nil
	}
	c.CallbackTLS = new(tls.Config)
	return errors.Join(c.readAuthorities(), c.readCertificate())
}

func (c *Config) readAuthorities() error {
	if c.CallbackCA == "" {
		return nil
	}
	pem, err := textfile.Read(c.CallbackCA)
	if err != nil {
		return c.Reject("callback-ca", "a file that can be read: "+textfile.WithoutPath(err).Error())
	}
	c.contents["callback-ca"] = digestOf(string(pem))
	c.CallbackTLS.RootCAs = x509.NewCertPool()
	if !c.CallbackTLS.RootCAs.AppendCertsFromPEM(pem) {
		return c.Reject("callback-ca", "a file with certificates in PEM")
	}
	return nil
}

func (c *Config) readCertificate() error {
	switch {
	case c.CallbackCert == "" && c.CallbackKey == "":
		return nil
	case c.CallbackCert == "":
		return fmt.Errorf("--callback-key (from %s) is of no use without --callback-cert", c.From("callback-key"))
	}
	read := func(option, path string) (text []byte, bad error) {
		text, err := textfile.Read(path)
		if err != nil {
			bad = c.Reject(option, "a file that can be read: "+textfile.WithoutPath(err).Error())
		}
		return text, bad
	}
	certificate, bad := read("callback-cert", c.CallbackCert)
	c.contents["callback-cert"] = digestOf(string(certificate))
	key := certificate
	if c.CallbackKey != "" {
		var badKey error
		key, badKey = read("callback-key", c.CallbackKey)
		bad = errors.Join(bad, badKey)
	}
	if bad != nil {
		return bad
	}
	c.contents["callback-key"] = digestOf(string(key))
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return c.Reject("callback-cert", "a certificate in PEM with its key in the same file or in --callback-key: "+strings.TrimPrefix(err.Error(), "tls: "))
	}
	c.CallbackTLS.Certificates = []tls.Certificate{pair}
	return nil
}
