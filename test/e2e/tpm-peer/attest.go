// The agent side of AttestAgent: payload, credential activation, SVID.

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/go-attestation/attest"
	agentv1 "github.com/spiffe/spire-api-sdk/proto/spire/api/server/agent/v1"
	"github.com/spiffe/spire-api-sdk/proto/spire/api/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const rpcTimeout = 30 * time.Second

type attestOptions struct {
	server, socket, trustDomain, out string
	ek, ak, tamper                   string
	oldPEM                           bool
}

type attestResult struct {
	SpiffeID     string `json:"spiffe_id"`
	Reattestable bool   `json:"reattestable"`
}

// refusal is an error that the server gave, unlike those of the peer itself.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }

// agent holds what one attestation needs.
type agent struct {
	attestOptions
	tpm        *attest.TPM
	ek         *attest.EK
	ak         *attest.AK
	softwareEK *rsa.PrivateKey // only for tamperOtherEK
}

func attestNode(o attestOptions) (*attestResult, error) {
	if o.tamper != "" && !slices.Contains(tampers, o.tamper) {
		return nil, fmt.Errorf("no such way to tamper: %s", o.tamper)
	}
	tpm, err := openTPM(o.socket)
	if err != nil {
		return nil, err
	}
	defer tpm.Close()
	a := &agent{attestOptions: o, tpm: tpm}
	if a.ek, err = chooseEK(tpm, o.ek); err != nil {
		return nil, err
	}
	if a.ak, err = newAK(tpm, o.ak); err != nil {
		return nil, err
	}
	defer a.ak.Close(tpm) // swtpm has three slots and nobody else frees them
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	result, err := a.exchange(key)
	if err != nil {
		return nil, err
	}
	return a.accept(result, key)
}

// exchange runs the AttestAgent stream to its result.
func (a *agent) exchange(key *ecdsa.PrivateKey) (*agentv1.AttestAgentResponse_Result, error) {
	payload, err := a.payload()
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{Country: []string{"US"}, Organization: []string{"SPIRE"}},
	}, key)
	if err != nil {
		return nil, err
	}
	if a.tamper == tamperCSRSignature {
		csr = flipLastBit(csr)
	}
	conn, err := grpc.NewClient(a.server, grpc.WithTransportCredentials(credentials.NewTLS(a.tlsConfig())))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), rpcTimeout)
	defer cancel()
	stream, err := agentv1.NewAgentClient(conn).AttestAgent(ctx)
	if err != nil {
		return nil, &refusal{err}
	}
	request := &agentv1.AttestAgentRequest{Step: &agentv1.AttestAgentRequest_Params_{
		Params: &agentv1.AttestAgentRequest_Params{
			Data:   &types.AttestationData{Type: "tpm", Payload: payload},
			Params: &agentv1.AgentX509SVIDParams{Csr: csr},
		},
	}}
	for {
		// After an end of stream, the reason comes with the next read.
		if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
			return nil, &refusal{err}
		}
		response, err := stream.Recv()
		if err != nil {
			return nil, &refusal{err}
		}
		if result := response.GetResult(); result != nil {
			return result, nil
		}
		answer, err := a.answer(response.GetChallenge())
		if err != nil {
			return nil, fmt.Errorf("challenge: %w", err)
		}
		request = &agentv1.AttestAgentRequest{Step: &agentv1.AttestAgentRequest_ChallengeResponse{ChallengeResponse: answer}}
	}
}

func (a *agent) payload() ([]byte, error) {
	certificate, key := a.ek.Certificate, a.ek.Public
	switch a.tamper {
	case tamperNoCert:
		certificate = nil
	case tamperOtherEK:
		software, err := newSoftwareEK()
		if err != nil {
			return nil, err
		}
		a.softwareEK, key = software, &software.PublicKey
	}
	ek, err := encodeEK(certificate, key, a.oldPEM)
	if err != nil {
		return nil, err
	}
	return json.Marshal(attestationPayload{EK: ek, AK: tamperWithAK(a.tamper, a.ak.AttestationParameters())})
}

// answer opens the challenge's credential.
func (a *agent) answer(challenge []byte) ([]byte, error) {
	if a.tamper == tamperNoSecret {
		return []byte("{}"), nil
	}
	var c credentialChallenge
	if err := json.Unmarshal(challenge, &c); err != nil {
		return nil, err
	}
	if c.EC == nil {
		return nil, errors.New("no credential")
	}
	var secret []byte
	var err error
	if a.softwareEK != nil {
		secret, err = activateInSoftware(a.softwareEK, a.ak.AttestationParameters().Public, *c.EC)
	} else {
		secret, err = a.ak.ActivateCredentialWithEK(a.tpm, *c.EC, *a.ek)
	}
	if err != nil {
		return nil, err
	}
	if a.tamper == tamperWrongSecret {
		secret = flipLastBit(secret)
	}
	return json.Marshal(credentialResponse{Secret: secret})
}

// tlsConfig does not verify the server's chain, as an agent with insecure bootstrap, but checks its SPIFFE ID.
func (a *agent) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return hasID(state.PeerCertificates[0], "spiffe://"+a.trustDomain+"/spire/server")
		},
	}
}

func hasID(certificate *x509.Certificate, id string) error {
	if len(certificate.URIs) != 1 || certificate.URIs[0].String() != id {
		return fmt.Errorf("certificate for %v instead of %s", certificate.URIs, id)
	}
	return nil
}

// accept checks that the SVID is the one asked for, and stores it.
func (a *agent) accept(result *agentv1.AttestAgentResponse_Result, key *ecdsa.PrivateKey) (*attestResult, error) {
	svid := result.GetSvid()
	if svid.GetId().GetTrustDomain() != a.trustDomain || len(svid.GetCertChain()) == 0 {
		return nil, fmt.Errorf("unusable SVID for %v", svid.GetId())
	}
	id := "spiffe://" + svid.Id.TrustDomain + svid.Id.Path
	leaf, err := x509.ParseCertificate(svid.CertChain[0])
	if err != nil {
		return nil, err
	}
	if err := hasID(leaf, id); err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("the SVID is for another key")
	}
	var chain []byte
	for _, der := range svid.CertChain {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(a.out, 0o700); err != nil {
		return nil, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encodedKey})
	if err := os.WriteFile(filepath.Join(a.out, "svid.key"), keyPEM, 0o600); err != nil {
		return nil, err
	}
	return &attestResult{id, result.Reattestable}, os.WriteFile(filepath.Join(a.out, "svid.pem"), chain, 0o600)
}
