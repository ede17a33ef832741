/** `localauthority x509|jwt|wit show|prepare|activate|taint|revoke`. */
import type { MethodDefinition } from "@grpc/grpc-js";
import {
  type AuthorityState,
  LocalAuthorityService,
} from "../../gen/spire/api/server/localauthority/v1/localauthority.ts";
import { visible } from "../../lib/visible.ts";
import { type CliContext, type CommandRun, type OptionValues, required } from "../command.ts";
import { outputFormat, print } from "../output.ts";
import { adminDeadline, call } from "../rpc-client.ts";
import { timeText } from "../wire.ts";
import { withServer } from "./admin.ts";

/** The kinds of authorities, as the commands name them. */
export type AuthorityWord = "x509" | "jwt" | "wit";

type Show = MethodDefinition<object, Readonly<Record<"active" | "prepared" | "old", AuthorityState | undefined>>>;
type Step<Field extends string> = MethodDefinition<
  { authorityId: string },
  Readonly<Record<Field, AuthorityState | undefined>>
>;

interface Kind {
  readonly word: string;
  readonly show: Show;
  readonly prepare: MethodDefinition<object, { readonly preparedAuthority: AuthorityState | undefined }>;
  readonly activate: Step<"activatedAuthority">;
  readonly taint: Step<"taintedAuthority">;
  readonly revoke: Step<"revokedAuthority">;
}

const KINDS: Readonly<Record<AuthorityWord, Kind>> = {
  x509: {
    word: "X.509",
    show: LocalAuthorityService.getX509AuthorityState,
    prepare: LocalAuthorityService.prepareX509Authority,
    activate: LocalAuthorityService.activateX509Authority,
    taint: LocalAuthorityService.taintX509Authority,
    revoke: LocalAuthorityService.revokeX509Authority,
  },
  jwt: {
    word: "JWT",
    show: LocalAuthorityService.getJwtAuthorityState,
    prepare: LocalAuthorityService.prepareJwtAuthority,
    activate: LocalAuthorityService.activateJwtAuthority,
    taint: LocalAuthorityService.taintJwtAuthority,
    revoke: LocalAuthorityService.revokeJwtAuthority,
  },
  wit: {
    word: "WIT",
    show: LocalAuthorityService.getWitAuthorityState,
    prepare: LocalAuthorityService.prepareWitAuthority,
    activate: LocalAuthorityService.activateWitAuthority,
    taint: LocalAuthorityService.taintWitAuthority,
    revoke: LocalAuthorityService.revokeWitAuthority,
  },
};

/** `show`. */
export function show(which: AuthorityWord): CommandRun {
  const { word, show: method } = KINDS[which];
  return async (options, context) => {
    outputFormat(options);
    const states = await ask(options, context, `could not get ${word} authorities`, method, {});
    print(options, context, states, () => {
      const parts = (["active", "prepared", "old"] as const).map((status) => {
        const state = states[status];
        const text = state === undefined ? `  No ${status} ${word} authority found\n` : stateText(which, state);
        return `${status.charAt(0).toUpperCase()}${status.slice(1)} ${word} authority:\n${text}`;
      });
      context.out(parts.join("\n"));
    });
    return 0;
  };
}

/** `prepare`. */
export function prepare(which: AuthorityWord): CommandRun {
  const { word, prepare: method } = KINDS[which];
  return async (options, context) => {
    outputFormat(options);
    const response = await ask(options, context, `could not prepare ${word} authority`, method, {});
    printStep(options, context, which, "Prepared", response, response.preparedAuthority);
    return 0;
  };
}

/** `activate`. */
export function activate(which: AuthorityWord): CommandRun {
  return async (options, context) => {
    const response = await step(options, context, which, "activate", KINDS[which].activate);
    printStep(options, context, which, "Activated", response, response.activatedAuthority);
    return 0;
  };
}

/** `taint`. */
export function taint(which: AuthorityWord): CommandRun {
  return async (options, context) => {
    const response = await step(options, context, which, "taint", KINDS[which].taint);
    printStep(options, context, which, "Tainted", response, response.taintedAuthority);
    return 0;
  };
}

/** `revoke`. */
export function revoke(which: AuthorityWord): CommandRun {
  return async (options, context) => {
    const response = await step(options, context, which, "revoke", KINDS[which].revoke);
    printStep(options, context, which, "Revoked", response, response.revokedAuthority);
    return 0;
  };
}

function step<Response>(
  options: OptionValues,
  context: CliContext,
  which: AuthorityWord,
  verb: string,
  method: MethodDefinition<{ authorityId: string }, Response>,
): Promise<Response> {
  outputFormat(options);
  const authorityId = required(options, "authorityID");
  return ask(options, context, `could not ${verb} ${KINDS[which].word} authority`, method, { authorityId });
}

async function ask<Request, Response>(
  options: OptionValues,
  context: CliContext,
  failure: string,
  method: MethodDefinition<Request, Response>,
  request: Request,
): Promise<Response> {
  try {
    return await withServer(options, context, (client) => call(client, method, request, adminDeadline(context)));
  } catch (error) {
    throw new Error(failure, { cause: error });
  }
}

function printStep(
  options: OptionValues,
  context: CliContext,
  which: AuthorityWord,
  done: string,
  response: object,
  state: AuthorityState | undefined,
): void {
  if (state === undefined) throw new Error("the server sent no authority");
  print(options, context, response, () =>
    context.out(`${done} ${KINDS[which].word} authority:\n${stateText(which, state)}`),
  );
}

function stateText(which: AuthorityWord, state: AuthorityState): string {
  const text = `  Authority ID: ${visible(state.authorityId)}\n  Expires at: ${timeText(state.expiresAt)}\n`;
  if (which !== "x509") return text;
  const upstream = state.upstreamAuthoritySubjectKeyId;
  return `${text}${upstream === "" ? "  Upstream authority ID: No upstream authority" : `  Upstream authority Subject Key ID: ${visible(upstream)}`}\n`;
}
