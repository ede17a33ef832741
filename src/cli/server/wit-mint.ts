/** `wit mint`: a key made here, a WIT-SVID for it signed by the server, without an entry. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { SVIDService } from "../../gen/spire/api/server/svid/v1/svid.ts";
import { checkJwsAlgorithm } from "../../pki/jws-algorithm.ts";
import { generateKey, type KeyType, spkiOf } from "../../pki/keys.ts";
import { type CommandRun, required, text, UsageError } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { replaceFile } from "../replace-file.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { idFromText } from "../wire.ts";
import { withServer } from "./admin.ts";
import { ttlSeconds, warnIfCapped } from "./mint-ttl.ts";

const KEY_TYPES: readonly KeyType[] = ["ec-p256", "ec-p384", "rsa-2048", "rsa-4096"];

export const run: CommandRun = async (options, context) => {
  outputFormat(options);
  const id = idFromText("spiffeID", required(options, "spiffeID"));
  const ttl = ttlSeconds(options);
  const given = text(options, "keyType", "ec-p256");
  const keyType = KEY_TYPES.find((type) => type === given);
  if (keyType === undefined) throw new UsageError(`-keyType is one of ${KEY_TYPES.join(", ")}, not "${given}"`);
  const signingAlgorithm = text(options, "signingAlgorithm", "ES256");
  const privateKey = await generateKey(keyType);
  const publicKey = spkiOf(privateKey);
  checkJwsAlgorithm(signingAlgorithm, publicKey);
  const { svid } = await withServer(options, context, (client) =>
    call(client, SVIDService.mintWitsvid, { id, publicKey, ttl, signingAlgorithm }, adminDeadline(context)),
  );
  if (svid === undefined || svid.token === "") throw new Error("the server sent no token");
  warnIfCapped("WIT-SVID", Number(svid.expiresAt), ttl, context);
  const jwk = JSON.stringify(privateKey.export({ format: "jwk" }));
  const folder = text(options, "write");
  if (folder !== "") {
    mkdirSync(folder, { recursive: true });
    replaceFile(join(folder, "token"), svid.token, 0o600);
    replaceFile(join(folder, "key"), jwk, 0o600);
    context.out(`WIT-SVID written to ${join(folder, "token")}\nPrivate key written to ${join(folder, "key")}\n`);
    return 0;
  }
  // SPIRE prints this one as Go does, not as protobuf.
  const { token, id: named, expiresAt, issuedAt } = svid;
  const json = {
    privateKey: jwk,
    svid: { token, id: named, expiresAt: Number(expiresAt), issuedAt: Number(issuedAt) },
  };
  print(options, context, json, () => context.out(`${svid.token}\n${jwk}\n`));
  return 0;
};
