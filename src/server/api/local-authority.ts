/** `localauthority.v1.LocalAuthority`: administrators prepare, activate, taint and revoke what this server signs with. */
import {
  type AuthorityState as AuthorityStateMessage,
  LocalAuthorityService,
} from "../../gen/spire/api/server/localauthority/v1/localauthority.ts";
import { publicError } from "../../lib/errors.ts";
import type { AuthorityAdmin, AuthorityState, LocalAuthorities } from "../ports.ts";
import type { RpcContext } from "../rpc-context.ts";
import { attempt } from "./failure.ts";
import { type Definition, type NamedMethod, unaryMethod } from "./method.ts";

/** What the service needs. */
export interface LocalAuthorityDeps {
  readonly authorities: LocalAuthorities;
}

/** The methods of one kind of authorities; those of the others have the same fields. */
interface Steps {
  readonly show: Definition<object, Readonly<Record<"active" | "prepared" | "old", AuthorityStateMessage | undefined>>>;
  readonly prepare: Definition<object, { preparedAuthority: AuthorityStateMessage | undefined }>;
  readonly activate: Definition<Named, { activatedAuthority: AuthorityStateMessage | undefined }>;
  readonly taint: Definition<Named, { taintedAuthority: AuthorityStateMessage | undefined }>;
  readonly revoke: Definition<Named, { revokedAuthority: AuthorityStateMessage | undefined }>;
}

interface Named {
  readonly authorityId: string;
}

const X509: Steps = {
  show: LocalAuthorityService.getX509AuthorityState,
  prepare: LocalAuthorityService.prepareX509Authority,
  activate: LocalAuthorityService.activateX509Authority,
  taint: LocalAuthorityService.taintX509Authority,
  revoke: LocalAuthorityService.revokeX509Authority,
};
const JWT: Steps = {
  show: LocalAuthorityService.getJwtAuthorityState,
  prepare: LocalAuthorityService.prepareJwtAuthority,
  activate: LocalAuthorityService.activateJwtAuthority,
  taint: LocalAuthorityService.taintJwtAuthority,
  revoke: LocalAuthorityService.revokeJwtAuthority,
};
const WIT: Steps = {
  show: LocalAuthorityService.getWitAuthorityState,
  prepare: LocalAuthorityService.prepareWitAuthority,
  activate: LocalAuthorityService.activateWitAuthority,
  taint: LocalAuthorityService.taintWitAuthority,
  revoke: LocalAuthorityService.revokeWitAuthority,
};

/** The service's methods. */
export function localAuthorityMethods({ authorities }: LocalAuthorityDeps): readonly NamedMethod[] {
  return [
    ...methodsOf(X509, "X.509", authorities.x509),
    ...methodsOf(JWT, "JWT", authorities.jwt),
    ...methodsOf(WIT, "WIT", authorities.wit),
    unaryMethod(LocalAuthorityService.taintX509UpstreamAuthority, withoutUpstream),
    unaryMethod(LocalAuthorityService.revokeX509UpstreamAuthority, withoutUpstream),
  ];
}

function methodsOf(steps: Steps, word: string, kind: AuthorityAdmin | undefined): readonly NamedMethod[] {
  const enabled = (): AuthorityAdmin => {
    if (kind === undefined) throw publicError("UNIMPLEMENTED", `${word} functionality is disabled`);
    return kind;
  };
  const ready = (): AuthorityAdmin => {
    const admin = enabled();
    if (admin.states.active === undefined) throw publicError("UNAVAILABLE", "server is initializing");
    return admin;
  };
  const step = async <T>(
    verb: string,
    { authorityId }: Named,
    context: RpcContext,
    take: (admin: AuthorityAdmin, authorityId: string) => Promise<T>,
  ): Promise<T> => {
    if (authorityId !== "") context.audit({ local_authority_id: authorityId });
    const admin = enabled();
    return await attempt(`failed to ${verb} ${word} authority`, () => take(admin, authorityId));
  };
  return [
    unaryMethod(steps.show, async () => {
      const { active, prepared, old } = ready().states;
      return { active: toMessage(active), prepared: toMessage(prepared), old: toMessage(old) };
    }),
    unaryMethod(steps.prepare, async () => {
      const admin = ready();
      const prepared = await attempt(`failed to prepare ${word} authority`, () => admin.prepare());
      return { preparedAuthority: toMessage(prepared) };
    }),
    unaryMethod(steps.activate, async (request, context) => {
      const activated = await step("activate", request, context, (admin, id) => admin.activate(id));
      return { activatedAuthority: toMessage(activated) };
    }),
    unaryMethod(steps.taint, async (request, context) => {
      const tainted = await step("taint", request, context, (admin, id) => admin.taint(id));
      return { taintedAuthority: toMessage(tainted) };
    }),
    unaryMethod(steps.revoke, async (request, context) => {
      const revoked = await step("revoke", request, context, (admin, id) => admin.revoke(id));
      return { revokedAuthority: toMessage(revoked ?? { authorityId: request.authorityId, notAfter: 0 }) };
    }),
  ];
}

async function withoutUpstream(
  { subjectKeyId }: { readonly subjectKeyId: string },
  context: RpcContext,
): Promise<never> {
  if (subjectKeyId !== "") context.audit({ subject_key_id: subjectKeyId });
  throw publicError("FAILED_PRECONDITION", "upstream authority is not configured");
}

function toMessage(state: AuthorityState): AuthorityStateMessage;
function toMessage(state: AuthorityState | undefined): AuthorityStateMessage | undefined;
function toMessage(state: AuthorityState | undefined): AuthorityStateMessage | undefined {
  if (state === undefined) return undefined;
  const { authorityId, notAfter } = state;
  return { authorityId, expiresAt: BigInt(Math.floor(notAfter / 1000)), upstreamAuthoritySubjectKeyId: "" };
}
