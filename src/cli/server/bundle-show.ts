/** `bundle show`. */
import { BundleService } from "../../gen/spire/api/server/bundle/v1/bundle.ts";
import { formatBundle } from "../../pki/bundle-format.ts";
import type { CommandRun } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { bundleFromWire } from "../wire.ts";
import { withServer } from "./admin.ts";
import { bundleFormat } from "./bundle-format-option.ts";

export const run: CommandRun = async (options, context) => {
  outputFormat(options);
  const format = bundleFormat(options);
  const bundle = await withServer(options, context, (client) =>
    call(client, BundleService.getBundle, { outputMask: undefined }, adminDeadline(context)),
  );
  print(options, context, bundle, () => context.out(formatBundle(bundleFromWire(bundle), format)));
  return 0;
};
