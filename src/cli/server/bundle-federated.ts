/** `bundle list`, `count`, `set` and `delete`: the bundles of other trust domains. */
import { readFileSync } from "node:fs";
import { BundleService, type ListFederatedBundlesResponse } from "../../gen/spire/api/server/bundle/v1/bundle.ts";
import type { Bundle } from "../../gen/spire/api/types/bundle.ts";
import type { Status } from "../../gen/spire/api/types/status.ts";
import { AgentError } from "../../lib/errors.ts";
import { GrpcCode } from "../../lib/grpc-status.ts";
import { visible } from "../../lib/visible.ts";
import { formatBundle, parseBundle } from "../../pki/bundle-format.ts";
import { type CliContext, type CommandRun, type OptionValues, required, text, UsageError } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { bundleFromWire, bundleToWire, trustDomainFromText } from "../wire.ts";
import { withServer } from "./admin.ts";
import { bundleFormat } from "./bundle-format-option.ts";

const PAGE_SIZE = 100;
/** By the names of `-mode`, the numbers of `BatchDeleteFederatedBundleRequest.Mode`. */
const DELETE_MODES = { restrict: 0, delete: 1, dissociate: 2 } as const;

/** `bundle list`: all of them, or the one that `-id` names. */
export const list: CommandRun = async (options, context) => {
  outputFormat(options);
  const format = bundleFormat(options);
  const trustDomain = text(options, "id");
  if (trustDomain !== "") {
    const request = { trustDomain, outputMask: undefined };
    const bundle = await withServer(options, context, (client) =>
      call(client, BundleService.getFederatedBundle, request, adminDeadline(context)),
    );
    print(options, context, bundle, () => context.out(formatBundle(bundleFromWire(bundle), format)));
    return 0;
  }
  const bundles = await listBundles(options, context);
  const response: ListFederatedBundlesResponse = { bundles, nextPageToken: "" };
  print(options, context, response, () =>
    context.out(bundles.map((bundle) => `${header(bundle)}${formatBundle(bundleFromWire(bundle), format)}`).join("\n")),
  );
  return 0;
};

/** `bundle count`. The trust domain's own bundle counts, as on SPIRE's servers. */
export const count: CommandRun = async (options, context) => {
  outputFormat(options);
  const response = await withServer(options, context, (client) =>
    call(client, BundleService.countBundles, {}, adminDeadline(context)),
  );
  print(options, context, response, () =>
    context.out(`${response.count} ${response.count === 1 ? "bundle" : "bundles"}\n`),
  );
  return 0;
};

/** `bundle set`: from a file, or from standard input. */
export const set: CommandRun = async (options, context) => {
  outputFormat(options);
  const trustDomain = trustDomainFromText("id", required(options, "id"));
  const format = bundleFormat(options);
  const bundle = bundleToWire(parseBundle(await bundleText(options, context), format, trustDomain));
  const response = await withServer(options, context, (client) =>
    call(
      client,
      BundleService.batchSetFederatedBundle,
      { bundle: [bundle], outputMask: undefined },
      adminDeadline(context),
    ),
  );
  return printResult(options, context, response, {
    status: response.results[0]?.status,
    done: "bundle set.",
    failed: "failed to set federated bundle",
  });
};

/** `bundle delete`. */
export const remove: CommandRun = async (options, context) => {
  outputFormat(options);
  const trustDomain = required(options, "id");
  const mode = deleteMode(options);
  const response = await withServer(options, context, (client) =>
    call(
      client,
      BundleService.batchDeleteFederatedBundle,
      { trustDomains: [trustDomain], mode },
      adminDeadline(context),
    ),
  );
  return printResult(options, context, response, {
    status: response.results[0]?.status,
    done: "bundle deleted.",
    failed: `failed to delete federated bundle "${trustDomain}"`,
  });
};

async function listBundles(options: OptionValues, context: CliContext): Promise<Bundle[]> {
  return withServer(options, context, async (client) => {
    const bundles: Bundle[] = [];
    let pageToken = "";
    do {
      const request = { outputMask: undefined, pageSize: PAGE_SIZE, pageToken };
      const page = await call(client, BundleService.listFederatedBundles, request, adminDeadline(context));
      bundles.push(...page.bundles);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return bundles;
  });
}

function header({ trustDomain }: Bundle): string {
  const line = "*".repeat(40);
  return `${line}\n* ${visible(trustDomain)}\n${line}\n`;
}

async function bundleText(options: OptionValues, context: CliContext): Promise<string> {
  const path = text(options, "path");
  if (path === "") return context.stdin();
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new AgentError("INVALID_ARGUMENT", `-path: cannot read ${path}`, { cause: error });
  }
}

function deleteMode(options: OptionValues): 0 | 1 | 2 {
  const mode = text(options, "mode") || "restrict";
  if (mode === "restrict" || mode === "delete" || mode === "dissociate") return DELETE_MODES[mode];
  throw new UsageError(`-mode is "restrict", "delete" or "dissociate", not "${mode}"`);
}

/** Prints what became of the only item of a batch; the exit status says so, too. */
function printResult(
  options: OptionValues,
  context: CliContext,
  response: object,
  { status, done, failed }: { readonly status: Status | undefined; readonly done: string; readonly failed: string },
): number {
  const isOk = status?.code === GrpcCode.OK;
  print(options, context, response, () => {
    if (!isOk) throw new Error(`${failed}: ${status?.message ?? "the server sent no result"}`);
    context.out(`${done}\n`);
  });
  return isOk ? 0 : 1;
}
