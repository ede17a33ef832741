/** Prints this process's identities, and prints them again whenever they change. */
import { X509Certificate } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { createLocalJWKSet, jwtVerify } from "jose";

const { SpiffeWorkloadAPI } = grpc.loadPackageDefinition(loadSync(process.argv[2] ?? "workload.proto"));
const api = new SpiffeWorkloadAPI(process.env.SPIFFE_ENDPOINT_SOCKET, grpc.credentials.createInsecure());
// The standard wants this of every call, so that nobody is tricked into making one.
const header = new grpc.Metadata();
header.set("workload.spiffe.io", "true");

/** The messages of a stream, which is opened again when the agent restarts. */
async function* follow(method) {
  for (;;) {
    try {
      yield* api[method]({}, header);
    } catch (error) {
      if (error.code === grpc.status.INVALID_ARGUMENT) throw error;
      console.error(`${method}: ${error.details}`);
    }
    await sleep(1000);
  }
}

const ask = (method, request) =>
  new Promise((resolve, reject) => {
    api[method](request, header, (error, answer) => (error ? reject(error) : resolve(answer)));
  });

/** Certificates in DER, one after the other: each begins with 0x30 0x82 and its length in two bytes. */
function* certificates(der) {
  for (let at = 0; at < der.length; at += 4 + der.readUInt16BE(at + 2)) yield new X509Certificate(der.subarray(at));
}

async function printX509() {
  for await (const { svids } of follow("FetchX509SVID")) {
    const [{ spiffeId, x509Svid, bundle }] = svids;
    const [leaf] = certificates(x509Svid);
    console.log(`x509 ${spiffeId} serial ${leaf.serialNumber} roots ${[...certificates(bundle)].length}`);
  }
}

async function printJwt() {
  for await (const { bundles } of follow("FetchJWTBundles")) {
    const { svids } = await ask("FetchJWTSVID", { audience: ["db"] });
    const [{ spiffeId, svid }] = svids;
    const { host } = new URL(spiffeId);
    const { keys } = JSON.parse(bundles[`spiffe://${host}`]);
    // What a service does with a token that it is shown: by the keys it has, or by the agent.
    await jwtVerify(svid, createLocalJWKSet({ keys }), { audience: "db" });
    const valid = await ask("ValidateJWTSVID", { audience: "db", svid });
    console.log(`jwt ${valid.spiffeId} keys ${keys.length}`);
  }
}

await Promise.all([printX509(), printJwt()]);
