/** Stock SPIFFE clients, each from its registry, get their SVID from our socket. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
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

test("go-spiffe", async ({ skip }) => {
  if (!(await has("go", ["version"]))) return skip("go is not on PATH");
  const folder = join(pair.site.folder, "go");
  mkdirSync(folder);
  writeFileSync(join(folder, "main.go"), GO_CLIENT);
  writeFileSync(join(folder, "go.mod"), "module client\n\ngo 1.24\n\nrequire github.com/spiffe/go-spiffe/v2 v2.9.0\n");
  const env = { ...process.env, GOFLAGS: "-mod=mod" };
  const binary = join(folder, "client");
  const built = await run("go", ["build", "-C", folder, "-o", binary, "."], { env });
  if (built.status !== 0)
    return skip(`go-spiffe could not be fetched or built: ${built.stderr.split("\n").slice(0, 3).join(" ")}`);
  const outcome = await run(binary, [pair.site.agentSocket]);
  expect([outcome.stderr, outcome.stdout]).toEqual(["", `${ID} 1\n`]);
}, 300_000);

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

test("Python's spiffe", async ({ skip }) => {
  if (!(await has("python3", ["-c", "import venv, ensurepip"]))) return skip("python3 with venv is not on PATH");
  const folder = join(pair.site.folder, "py");
  const python = join(folder, "bin/python3");
  await run("python3", ["-m", "venv", folder]);
  const installed = await run(python, ["-m", "pip", "install", "-q", "--disable-pip-version-check", "spiffe==0.3.2"]);
  if (installed.status !== 0) return skip(`spiffe could not be installed: ${installed.stderr.split("\n")[0]}`);
  const outcome = await run(python, ["-c", PYTHON_CLIENT, pair.site.agentSocket]);
  expect([outcome.stderr, outcome.stdout]).toEqual(["", `${ID} 1\n1\n`]);
}, 300_000);

async function has(program: string, args: readonly string[]): Promise<boolean> {
  try {
    return (await run(program, args)).status === 0;
  } catch {
    return false;
  }
}
