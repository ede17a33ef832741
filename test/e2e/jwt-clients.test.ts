/** Stock SPIFFE clients fetch and validate JWT-SVIDs on our socket while the authority that signs them is rotated. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, type TestContext, test } from "vitest";
import { type Built, buildGo, buildPython, LineClient } from "./stock-clients.ts";
import { Folder, Pair, PROGRAMS, run, SELF } from "./support.ts";

const ID = "spiffe://example.org/client";

/** For each audience that it reads: a token, judged by the library and by the agent, and how many keys there are. */
const GO_CLIENT = `package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	ctx := context.Background()
	addr := workloadapi.WithAddr("unix://" + os.Args[1])
	source := must(workloadapi.NewJWTSource(ctx, workloadapi.WithClientOptions(addr)))
	client := must(workloadapi.New(ctx, addr))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		audience := lines.Text()
		svid := must(source.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience}))
		local := must(jwtsvid.ParseAndValidate(svid.Marshal(), source, []string{audience}))
		remote := must(client.ValidateJWTSVID(ctx, svid.Marshal(), audience))
		bundle := must(source.GetJWTBundleForTrustDomain(svid.ID.TrustDomain()))
		fmt.Println(local.ID, remote.ID, len(bundle.JWTAuthorities()))
	}
}
`;

const PYTHON_CLIENT = `
import sys
from spiffe import JwtSource, JwtSvid, WorkloadApiClient
path = "unix://" + sys.argv[1]
with WorkloadApiClient(socket_path=path) as client, JwtSource(socket_path=path) as source:
    for line in sys.stdin:
        audience = line.strip()
        svid = source.fetch_svid(audience={audience})
        bundle = source.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
        local = JwtSvid.parse_and_validate(svid.token, bundle, {audience})
        remote = client.validate_jwt_svid(svid.token, audience)
        print(local.spiffe_id, remote.spiffe_id, len(bundle.jwt_authorities), flush=True)
`;

function onPath(program: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

async function throughRotation(skip: TestContext["skip"], build: (folder: string) => Promise<Built>): Promise<void> {
  const spireServer = onPath("spire-server");
  if (spireServer === undefined) return skip("spire-server is not on PATH");
  using folder = new Folder();
  const built = await build(join(folder.path, "client"));
  if ("missing" in built) return skip(built.missing);
  await using pair = await Pair.start({}, { server: spireServer, agent: PROGRAMS.agent });
  await pair.createEntry(ID, [`unix:uid:${SELF}`]);
  await pair.untilServed(ID);
  using client = new LineClient([...built.command, pair.site.agentSocket]);
  expect(await client.ask("before")).toBe(`${ID} ${ID} 1`);
  const authority = async (...args: string[]): Promise<string> => {
    const { stdout } = await run(spireServer, [
      "localauthority",
      "jwt",
      ...args,
      "-socketPath",
      pair.site.serverSocket,
    ]);
    return /Authority ID: (\S+)/.exec(stdout)?.[1] ?? "";
  };
  const next = await authority("prepare");
  // The source hears of the new key by its stream, and has it before the first token needs it.
  await pair.agent.until("new key", async () => (await client.ask("between")) === `${ID} ${ID} 2`);
  await authority("activate", "-authorityID", next);
  expect(await client.ask("after")).toBe(`${ID} ${ID} 2`);
}

test("go-spiffe", ({ skip }) => throughRotation(skip, (folder) => buildGo(folder, GO_CLIENT)), 300_000);

test("Python's spiffe", ({ skip }) => throughRotation(skip, (folder) => buildPython(folder, PYTHON_CLIENT)), 300_000);
