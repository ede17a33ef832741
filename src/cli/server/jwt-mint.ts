/** `jwt mint`: a JWT-SVID signed by the server, without an entry. */
import { SVIDService } from "../../gen/spire/api/server/svid/v1/svid.ts";
import { type CommandRun, required, text, texts, UsageError } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { replaceFile } from "../replace-file.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { idFromText } from "../wire.ts";
import { withServer } from "./admin.ts";
import { ttlSeconds, warnIfCapped } from "./mint-ttl.ts";

export const run: CommandRun = async (options, context) => {
  outputFormat(options);
  const id = idFromText("spiffeID", required(options, "spiffeID"));
  const audience = [...texts(options, "audience")];
  if (audience.length === 0) throw new UsageError("-audience is required");
  const ttl = ttlSeconds(options);
  const response = await withServer(options, context, (client) =>
    call(client, SVIDService.mintJwtsvid, { id, audience, ttl }, adminDeadline(context)),
  );
  const { svid } = response;
  if (svid === undefined || svid.token === "") throw new Error("the server sent no token");
  warnIfCapped("JWT-SVID", Number(svid.expiresAt), ttl, context);
  const path = text(options, "write");
  if (path !== "") {
    replaceFile(path, svid.token, 0o600);
    context.out(`JWT-SVID written to ${path}\n`);
    return 0;
  }
  print(options, context, response, () => context.out(`${svid.token}\n`));
  return 0;
};
