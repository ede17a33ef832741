// Prints this process's identities, and prints them again whenever they change.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func main() {
	log.Fatal(run(context.Background()))
}

func run(ctx context.Context) error {
	// Both find the socket in SPIFFE_ENDPOINT_SOCKET, and are fresh from here on.
	certificates, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return err
	}
	defer certificates.Close()
	tokens, err := workloadapi.NewJWTSource(ctx)
	if err != nil {
		return err
	}
	defer tokens.Close()
	for {
		if err := printX509(certificates); err != nil {
			return err
		}
		if err := printJWT(ctx, tokens); err != nil {
			return err
		}
		select {
		case <-certificates.Updated():
		case <-tokens.Updated():
		}
	}
}

func printX509(source *workloadapi.X509Source) error {
	svid, err := source.GetX509SVID()
	if err != nil {
		return err
	}
	bundle, err := source.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return err
	}
	// What a peer does with the certificates; tlsconfig.MTLSClientConfig and its kin do it in TLS.
	id, _, err := x509svid.Verify(svid.Certificates, source)
	if err != nil {
		return err
	}
	fmt.Printf("x509 %s serial %x roots %d\n", id, svid.Certificates[0].SerialNumber, len(bundle.X509Authorities()))
	return nil
}

func printJWT(ctx context.Context, source *workloadapi.JWTSource) error {
	svid, err := source.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "db"})
	if err != nil {
		return err
	}
	// What a service does with a token that it is shown: by the keys it has, or by the agent.
	token := svid.Marshal()
	if _, err := jwtsvid.ParseAndValidate(token, source, []string{"db"}); err != nil {
		return err
	}
	valid, err := workloadapi.ValidateJWTSVID(ctx, token, "db")
	if err != nil {
		return err
	}
	bundle, err := source.GetJWTBundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return err
	}
	fmt.Printf("jwt %s keys %d\n", valid.ID, len(bundle.JWTAuthorities()))
	return nil
}
