// Verification of a quote over PCRs with go-attestation.

package main

import (
	"crypto"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/google/go-attestation/attest"
)

var pcrBanks = map[string]crypto.Hash{
	"sha1": crypto.SHA1, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
}

type quoteOptions struct {
	ak, quote, signature, nonce, pcrs string
}

type quoteInput struct {
	ak    []byte
	quote attest.Quote
	nonce []byte
	pcrs  []attest.PCR
}

func readQuote(o quoteOptions) (*quoteInput, error) {
	var in quoteInput
	var err error
	for _, file := range []struct {
		path string
		into *[]byte
	}{{o.ak, &in.ak}, {o.quote, &in.quote.Quote}, {o.signature, &in.quote.Signature}} {
		if *file.into, err = os.ReadFile(file.path); err != nil {
			return nil, err
		}
	}
	if in.nonce, err = hex.DecodeString(o.nonce); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	in.pcrs, err = readPCRs(o.pcrs)
	return &in, err
}

func readPCRs(path string) ([]attest.PCR, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var banks map[string]map[string]string
	if err := json.Unmarshal(text, &banks); err != nil {
		return nil, fmt.Errorf("PCR values: %w", err)
	}
	var pcrs []attest.PCR
	for bank, values := range banks {
		hash, ok := pcrBanks[bank]
		if !ok {
			return nil, fmt.Errorf("no PCR bank %q", bank)
		}
		for index, value := range values {
			number, err := strconv.Atoi(index)
			if err != nil {
				return nil, fmt.Errorf("PCR number: %w", err)
			}
			digest, err := hex.DecodeString(value)
			if err != nil {
				return nil, fmt.Errorf("PCR %d: %w", number, err)
			}
			pcrs = append(pcrs, attest.PCR{Index: number, Digest: digest, DigestAlg: hash})
		}
	}
	return pcrs, nil
}

// verify checks the quote alone, then that it covers every PCR value given.
func (in *quoteInput) verify() error {
	public, err := attest.ParseAKPublic(in.ak)
	if err != nil {
		return err
	}
	return public.VerifyAll([]attest.Quote{in.quote}, in.pcrs, in.nonce)
}
