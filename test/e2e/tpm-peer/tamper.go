// What a dishonest agent does: each way must be refused by a server that checks what it should.

package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-attestation/attest"
	"github.com/google/go-tpm/legacy/tpm2"
)

const (
	tamperWrongSecret  = "wrong-secret"       // one bit of the challenge's answer differs
	tamperNoSecret     = "no-secret"          // the answer is an empty object
	tamperOtherEK      = "other-ek-key"       // PUBLIC KEY is a key of ours beside the TPM's CERTIFICATE; we can answer
	tamperNoCert       = "no-certificate"     // only the public key is sent: fine only where its hash is allowed
	tamperSignature    = "ak-signature"       // one bit of CreateSignature differs
	tamperCreateData   = "create-data"        // one bit of CreateData differs, which stays parseable
	tamperAttestation  = "create-attestation" // one bit of CreateAttestation differs
	tamperPublic       = "ak-public"          // one bit of the AK's public key differs
	tamperCSRSignature = "csr-signature"      // one bit of the CSR's self-signature differs
)

var tampers = []string{
	tamperWrongSecret, tamperNoSecret, tamperOtherEK, tamperNoCert, tamperSignature, tamperCreateData,
	tamperAttestation, tamperPublic, tamperCSRSignature,
}

// tamperWithAK returns the parameters with one bit changed, if the named way is one about the AK.
func tamperWithAK(name string, p attest.AttestationParameters) attest.AttestationParameters {
	switch name {
	case tamperSignature:
		p.CreateSignature = flipLastBit(p.CreateSignature)
	case tamperCreateData:
		// The last two bytes are the size of the empty outsideInfo: change the parent's name before it, to stay parseable.
		end := len(p.CreateData) - 2
		p.CreateData = append(flipLastBit(p.CreateData[:end]), p.CreateData[end:]...)
	case tamperAttestation:
		p.CreateAttestation = flipLastBit(p.CreateAttestation)
	case tamperPublic:
		p.Public = flipLastBit(p.Public)
	}
	return p
}

func flipLastBit(data []byte) []byte {
	changed := slices.Clone(data)
	changed[len(changed)-1] ^= 1
	return changed
}

// activateInSoftware does what TPM2_ActivateCredential does, for an RSA 2048 "endorsement key" outside any TPM.
func activateInSoftware(key *rsa.PrivateKey, akPublic []byte, in attest.EncryptedCredential) ([]byte, error) {
	public, err := tpm2.DecodePublic(akPublic)
	if err != nil {
		return nil, err
	}
	name, err := public.Name()
	if err != nil {
		return nil, err
	}
	if name.Digest == nil {
		return nil, errors.New("the attestation key has no name")
	}
	encodedName, err := name.Digest.Encode()
	if err != nil {
		return nil, err
	}
	sealed, err := sized(in.Secret)
	if err != nil {
		return nil, err
	}
	seed, err := rsa.DecryptOAEP(sha256.New(), nil, key, sealed, []byte("IDENTITY\x00"))
	if err != nil {
		return nil, err
	}
	// TPM2B_ID_OBJECT: the HMAC, which an attacker need not check, then the encrypted TPM2B_DIGEST.
	object, err := sized(in.Credential)
	if err != nil {
		return nil, err
	}
	hmac, err := sized(object)
	if err != nil {
		return nil, err
	}
	identity := slices.Clone(object[2+len(hmac):])
	storage, err := tpm2.KDFa(tpm2.AlgSHA256, seed, "STORAGE", encodedName, nil, len(seed)*8)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(storage)
	if err != nil {
		return nil, err
	}
	cipher.NewCFBDecrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(identity, identity)
	return sized(identity)
}

// sized gives the content of the TPM2B at the start of data.
func sized(data []byte) ([]byte, error) {
	if len(data) < 2 {
		return nil, errors.New("TPM2B without a size")
	}
	size := int(binary.BigEndian.Uint16(data))
	if len(data) < 2+size {
		return nil, fmt.Errorf("TPM2B of %d bytes in %d", size, len(data))
	}
	return data[2 : 2+size], nil
}

func newSoftwareEK() (*rsa.PrivateKey, error) {
	return rsa.GenerateKey(rand.Reader, 2048)
}
