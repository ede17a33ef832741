// Command tpm-peer is a test peer for node attestation with a TPM. It plays the agent half of the SPIFFE-hosted `tpm`
// plugin against any server, and checks quotes with go-attestation. This file has the command line and its output.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Exit statuses: the answer was "no", or no answer could be had.
const (
	exitRefused = 1
	exitFailed  = 2
)

const usage = `usage:
  tpm-peer attest -server HOST:PORT -tpm SOCKET -trust-domain NAME -out DIR [-ek first|rsa] [-ak rsa|ecc] [-old-pem] [-tamper NAME]
  tpm-peer verify-quote -ak FILE -quote FILE -signature FILE -nonce HEX -pcrs FILE`

func main() {
	if len(os.Args) < 2 {
		fail(errors.New(usage))
	}
	switch os.Args[1] {
	case "attest":
		runAttest(os.Args[2:])
	case "verify-quote":
		runVerifyQuote(os.Args[2:])
	default:
		fail(errors.New(usage))
	}
}

func runAttest(args []string) {
	var o attestOptions
	flags := flag.NewFlagSet("attest", flag.ExitOnError)
	flags.StringVar(&o.server, "server", "", "address of the server's TCP listener")
	flags.StringVar(&o.socket, "tpm", "", "path of swtpm's data socket")
	flags.StringVar(&o.trustDomain, "trust-domain", "", "trust domain of the server")
	flags.StringVar(&o.out, "out", "", "folder for svid.pem and svid.key")
	flags.StringVar(&o.ek, "ek", "first", "endorsement key: first or rsa")
	flags.StringVar(&o.ak, "ak", "rsa", "attestation key: rsa or ecc")
	flags.BoolVar(&o.oldPEM, "old-pem", false, "send one PEM block only, as the plugin of 2019 did")
	flags.StringVar(&o.tamper, "tamper", "", "send something wrong: "+strings.Join(tampers, ", "))
	parse(flags, args, &o.server, &o.socket, &o.trustDomain, &o.out)
	result, err := attestNode(o)
	var refused *refusal
	// Unavailable is also what gRPC says when no server was reached: no refusal.
	if errors.As(err, &refused) && status.Code(refused.err) != codes.Unavailable {
		s := status.Convert(refused.err)
		printLine(map[string]any{"code": s.Code().String(), "message": s.Message()})
		os.Exit(exitRefused)
	}
	if err != nil {
		fail(err)
	}
	printLine(result)
}

func runVerifyQuote(args []string) {
	var o quoteOptions
	flags := flag.NewFlagSet("verify-quote", flag.ExitOnError)
	flags.StringVar(&o.ak, "ak", "", "file with the attestation key's TPMT_PUBLIC")
	flags.StringVar(&o.quote, "quote", "", "file with the TPMS_ATTEST")
	flags.StringVar(&o.signature, "signature", "", "file with the TPMT_SIGNATURE")
	flags.StringVar(&o.nonce, "nonce", "", "expected nonce in hex")
	flags.StringVar(&o.pcrs, "pcrs", "", `JSON file with PCR values: {"sha256": {"0": "hex"}}`)
	parse(flags, args, &o.ak, &o.quote, &o.signature, &o.nonce, &o.pcrs)
	input, err := readQuote(o)
	if err != nil {
		fail(err)
	}
	if err := input.verify(); err != nil {
		printLine(map[string]any{"ok": false, "error": err.Error()})
		os.Exit(exitRefused)
	}
	printLine(map[string]any{"ok": true})
}

// parse reads the flags and stops the program if a required one is empty.
func parse(flags *flag.FlagSet, args []string, required ...*string) {
	_ = flags.Parse(args) // ExitOnError: an error does not come back
	if flags.NArg() > 0 {
		fail(fmt.Errorf("unexpected argument %q\n%s", flags.Arg(0), usage))
	}
	for _, value := range required {
		if *value == "" {
			fail(errors.New(usage))
		}
	}
}

func printLine(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "tpm-peer:", err)
	os.Exit(exitFailed)
}
