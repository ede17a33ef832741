// The TPM side: swtpm's socket as a go-attestation command channel, and the plugin's JSON messages.

package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/google/go-attestation/attest"
)

const (
	tpmHeaderSize = 10 // tag, total size, code
	tpmTimeout    = 60 * time.Second
)

// The messages of the `tpm` plugin, with the Go names as JSON member names.
type (
	attestationPayload struct {
		EK []byte
		AK attest.AttestationParameters
	}
	credentialChallenge struct {
		EC *attest.EncryptedCredential
	}
	credentialResponse struct {
		Secret []byte
	}
)

// swtpmChannel carries TPM commands over a stream socket. It hands out each response whole.
type swtpmChannel struct {
	net.Conn
}

func openTPM(socket string) (*attest.TPM, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(tpmTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return attest.OpenTPM(&attest.OpenConfig{CommandChannel: swtpmChannel{conn}})
}

func (c swtpmChannel) Read(buffer []byte) (int, error) {
	if len(buffer) < tpmHeaderSize {
		return 0, io.ErrShortBuffer
	}
	if _, err := io.ReadFull(c.Conn, buffer[:tpmHeaderSize]); err != nil {
		return 0, err
	}
	size := int(binary.BigEndian.Uint32(buffer[2:6]))
	if size < tpmHeaderSize || size > len(buffer) {
		return 0, fmt.Errorf("TPM response of %d bytes", size)
	}
	_, err := io.ReadFull(c.Conn, buffer[tpmHeaderSize:size])
	return size, err
}

// MeasurementLog is part of the channel's interface; swtpm has no log.
func (c swtpmChannel) MeasurementLog() ([]byte, error) {
	return nil, errors.New("no measurement log")
}

func chooseEK(tpm *attest.TPM, kind string) (*attest.EK, error) {
	eks, err := tpm.EKs()
	if err != nil {
		return nil, err
	}
	for i := range eks {
		_, isRSA := eks[i].Public.(*rsa.PublicKey)
		if kind == "first" || (kind == "rsa" && isRSA) {
			return &eks[i], nil
		}
	}
	return nil, fmt.Errorf("no endorsement key for -ek %s", kind)
}

func newAK(tpm *attest.TPM, kind string) (*attest.AK, error) {
	switch kind {
	case "rsa":
		return tpm.NewAK(nil)
	case "ecc":
		return tpm.NewAK(&attest.AKConfig{Algorithm: attest.ECDSA})
	}
	return nil, fmt.Errorf("no attestation key for -ak %s", kind)
}

// encodeEK gives the certificate, if any, and the public key as PEM blocks; of the old format, only the first of them.
func encodeEK(certificate *x509.Certificate, key any, oldPEM bool) ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if certificate != nil {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}); err != nil {
			return nil, err
		}
		if oldPEM {
			return out.Bytes(), nil
		}
	}
	err = pem.Encode(&out, &pem.Block{Type: "PUBLIC KEY", Bytes: public})
	return out.Bytes(), err
}
