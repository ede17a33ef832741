/** `x509 mint`: a key made here, a certificate signed by the server, without an entry. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseDuration } from "../../config/duration.ts";
import { BundleService } from "../../gen/spire/api/server/bundle/v1/bundle.ts";
import { SVIDService } from "../../gen/spire/api/server/svid/v1/svid.ts";
import { createCsr } from "../../pki/csr.ts";
import { generateKey, pkcs8Of } from "../../pki/keys.ts";
import { pemEncode } from "../../pki/pem.ts";
import { type CliContext, type CommandRun, type OptionValues, required, text, texts, UsageError } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { replaceFile } from "../replace-file.ts";
import { call } from "../rpc-client.ts";
import { spiffeIdFromText } from "../wire.ts";
import { deadline, withServer } from "./admin.ts";

/** The server may have a clock of its own, and counts from a whole second. */
const CLOCK_SKEW_SECONDS = 30;

export const run: CommandRun = async (options, context) => {
  outputFormat(options);
  const spiffeId = spiffeIdFromText("spiffeID", required(options, "spiffeID"));
  const ttl = ttlSeconds(options);
  const privateKey = await generateKey("ec-p256");
  const csr = await createCsr({ privateKey, spiffeId, dnsNames: texts(options, "dns") });
  const svid = await withServer(options, context, async (client) => {
    const response = await call(client, SVIDService.mintX509Svid, { csr, ttl }, deadline(context));
    if (response.svid === undefined) throw new Error("the server sent no SVID");
    return response.svid;
  });
  warnIfCapped(Number(svid.expiresAt), context.clock.now() / 1000 + ttl, ttl, context);
  const bundle = await withServer(options, context, (client) =>
    call(client, BundleService.getBundle, { outputMask: undefined }, deadline(context)),
  );
  const chain = svid.certChain.map((certificate) => pemEncode("CERTIFICATE", certificate)).join("");
  const key = pemEncode("PRIVATE KEY", pkcs8Of(privateKey));
  const roots = bundle.x509Authorities.map(({ asn1 }) => pemEncode("CERTIFICATE", asn1)).join("");
  const folder = text(options, "write");
  if (folder !== "") {
    mkdirSync(folder, { recursive: true });
    for (const [name, content, mode] of [
      ["svid.pem", chain, 0o644],
      ["key.pem", key, 0o600],
      ["bundle.pem", roots, 0o644],
    ] as const) {
      replaceFile(join(folder, name), content, mode);
    }
    context.out(
      `X509-SVID written to ${join(folder, "svid.pem")}\nPrivate key written to ${join(folder, "key.pem")}\nRoot CAs written to ${join(folder, "bundle.pem")}\n`,
    );
    return 0;
  }
  const json = {
    x509Svid: svid.certChain,
    privateKey: pkcs8Of(privateKey),
    rootCas: bundle.x509Authorities.map(({ asn1 }) => asn1),
  };
  print(options, context, json, () => context.out(`X509-SVID:\n${chain}\nPrivate key:\n${key}\nRoot CAs:\n${roots}\n`));
  return 0;
};

/** Says that the certificate ends before it was asked to: the CA's own end caps it. All in seconds. */
function warnIfCapped(expiresAt: number, asked: number, ttl: number, context: CliContext): void {
  if (ttl === 0 || expiresAt > asked - CLOCK_SKEW_SECONDS) return;
  const text = new Date(expiresAt * 1000).toISOString().replace(".000Z", "Z");
  context.err(`X509-SVID lifetime was capped shorter than specified ttl; expires "${text}"\n`);
}

function ttlSeconds(options: OptionValues): number {
  const given = text(options, "ttl");
  if (given === "") return 0;
  const ms = parseDuration(given);
  if (ms === undefined || ms < 0) throw new UsageError('-ttl takes a duration such as "1h"');
  return Math.ceil(ms / 1000);
}
