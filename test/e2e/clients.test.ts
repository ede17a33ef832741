/** Stock SPIFFE clients, each from its registry, get their SVID from our socket. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildGo, buildPython } from "./stock-clients.ts";
import { Pair, run, SELF } from "./support.ts";

const ID = "spiffe://example.org/client";
let pair: Pair;

beforeAll(async () => {
  pair = await Pair.start();
  await pair.createEntry(ID, [`unix:uid:${SELF}`]);
  await pair.untilServed(ID);
});
afterAll(async () => {
  await pair?.[Symbol.asyncDispose]();
});

const GO_CLIENT = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func main() {
	ctx := context.Background()
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr("unix://"+os.Args[1])))
	if err != nil {
		panic(err)
	}
	defer source.Close()
	svid, err := source.GetX509SVID()
	if err != nil {
		panic(err)
	}
	bundle, err := source.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		panic(err)
	}
	fmt.Println(svid.ID, len(bundle.X509Authorities()))
}
`;

const PYTHON_CLIENT = `
import sys
from spiffe import WorkloadApiClient
with WorkloadApiClient(socket_path="unix://" + sys.argv[1]) as client:
    context = client.fetch_x509_context()
    svid = context.default_svid
    bundle = context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    print(svid.spiffe_id, len(bundle.x509_authorities))
    bundles = client.fetch_x509_bundles()
    print(len(bundles.bundles))
`;

test("go-spiffe", async ({ skip }) => {
  const built = await buildGo(join(pair.site.folder, "go"), GO_CLIENT);
  if ("missing" in built) return skip(built.missing);
  const [binary = ""] = built.command;
  const outcome = await run(binary, [pair.site.agentSocket]);
  expect([outcome.stderr, outcome.stdout]).toEqual(["", `${ID} 1\n`]);
}, 300_000);

test("Python's spiffe", async ({ skip }) => {
  const built = await buildPython(join(pair.site.folder, "py"), PYTHON_CLIENT);
  if ("missing" in built) return skip(built.missing);
  const [python = "", ...args] = built.command;
  const outcome = await run(python, [...args, pair.site.agentSocket]);
  expect([outcome.stderr, outcome.stdout]).toEqual(["", `${ID} 1\n1\n`]);
}, 300_000);
