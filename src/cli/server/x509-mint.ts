/** `x509 mint`: a key made here, a certificate signed by the server, without an entry. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BundleService } from "../../gen/spire/api/server/bundle/v1/bundle.ts";
import { SVIDService } from "../../gen/spire/api/server/svid/v1/svid.ts";
import { createCsr } from "../../pki/csr.ts";
import { generateKey, pkcs8Of } from "../../pki/keys.ts";
import { pemEncode } from "../../pki/pem.ts";
import { type CommandRun, required, text, texts } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { replaceFile } from "../replace-file.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { spiffeIdFromText } from "../wire.ts";
import { withServer } from "./admin.ts";
import { ttlSeconds, warnIfCapped } from "./mint-ttl.ts";

export const run: CommandRun = async (options, context) => {
  outputFormat(options);
  const spiffeId = spiffeIdFromText("spiffeID", required(options, "spiffeID"));
  const ttl = ttlSeconds(options);
  const privateKey = await generateKey("ec-p256");
  const csr = await createCsr({ privateKey, spiffeId, dnsNames: texts(options, "dns") });
  const svid = await withServer(options, context, async (client) => {
    const response = await call(client, SVIDService.mintX509Svid, { csr, ttl }, adminDeadline(context));
    if (response.svid === undefined) throw new Error("the server sent no SVID");
    return response.svid;
  });
  warnIfCapped("X509-SVID", Number(svid.expiresAt), ttl, context);
  const bundle = await withServer(options, context, (client) =>
    call(client, BundleService.getBundle, { outputMask: undefined }, adminDeadline(context)),
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
