// Reads chains, a JSON object per line, and prints crypto/x509's verdict on each: identifier, tab, "ok" or the error.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

type chain struct {
	ID          int      `json:"id"`
	Now         int64    `json:"now"` // milliseconds since the Unix epoch
	Chain       [][]byte `json:"chain"`
	Authorities [][]byte `json:"authorities"`
}

// verdict judges as a Go program would that asks for no purpose and no host name. A member that does not parse spoils
// the chain; an authority that does not is left out, as CertPool.AppendCertsFromPEM does.
func verdict(c chain) error {
	options := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   time.UnixMilli(c.Now),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, der := range c.Authorities {
		if certificate, err := x509.ParseCertificate(der); err == nil {
			options.Roots.AddCert(certificate)
		}
	}
	var leaf *x509.Certificate
	for i, der := range c.Chain {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		if i == 0 {
			leaf = certificate
		} else {
			options.Intermediates.AddCert(certificate)
		}
	}
	_, err := leaf.Verify(options)
	return err
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var c chain
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		text := "ok"
		if err := verdict(c); err != nil {
			text = strings.Join(strings.Fields(err.Error()), " ")
		}
		fmt.Fprintf(out, "%d\t%s\n", c.ID, text)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
