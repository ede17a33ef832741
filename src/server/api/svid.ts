/** `svid.v1.SVID`: signs X509-SVIDs, for agents by entry, for administrators by request. */
import {
  type BatchNewX509SVIDResponse_Result,
  type MintX509SVIDRequest,
  type NewX509SVIDParams,
  SVIDService,
} from "../../gen/spire/api/server/svid/v1/svid.ts";
import type { X509SVID } from "../../gen/spire/api/types/x509svid.ts";
import { publicError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { CertificateRequest } from "../../pki/csr.ts";
import { type Name, nameOf } from "../../pki/name.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import { parseSpiffeId, type SpiffeId, type TrustDomain } from "../../spiffe/id.ts";
import { checkDnsName, checkWildcardOverlap } from "../dns-name.ts";
import type { AuthorizedEntries, X509Issuer } from "../ports.ts";
import { callingAgent, type RpcContext } from "../rpc-context.ts";
import { batchItem, done, mapItems } from "./batch.ts";
import { type CsrWords, readCsr } from "./csr.ts";
import { attempt, parseInput } from "./failure.ts";
import { type NamedMethod, unaryMethod } from "./method.ts";
import { checkWorkloadId, svidToMessage } from "./wire.ts";

/** What the service needs. */
export interface SvidServiceDeps {
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  readonly entries: AuthorizedEntries;
  readonly issuer: X509Issuer;
}

/** Signed at a time: P-256 holds the event loop for a fifth of a millisecond each, other keys have four threads. */
const SIGNED_ABREAST = 8;

const BATCH_CSR: CsrWords = {
  missing: "missing CSR",
  malformed: "malformed CSR",
  badSignature: "invalid CSR signature",
};
const MINT_CSR: CsrWords = { ...BATCH_CSR, badSignature: "failed to verify CSR signature" };

/** The service's methods. */
export function svidMethods(deps: SvidServiceDeps): readonly NamedMethod[] {
  return [
    unaryMethod(SVIDService.batchNewX509Svid, async ({ params }, context, signal) => {
      if (params.length === 0) throw publicError("INVALID_ARGUMENT", "missing parameters");
      await context.rateLimit(params.length, signal);
      const wanted = new Set(params.map(({ entryId }) => entryId));
      const entries = await attempt("failed to fetch registration entries", () =>
        deps.entries.lookup(callingAgent(context).agentId, wanted),
      );
      return { results: await mapItems(params, (param) => newSvid(deps, context, param, entries), SIGNED_ABREAST) };
    }),

    unaryMethod(SVIDService.mintX509Svid, async (request, context) => ({ svid: await mint(deps, context, request) })),
  ];
}

async function newSvid(
  deps: SvidServiceDeps,
  context: RpcContext,
  { entryId, csr }: NewX509SVIDParams,
  entries: ReadonlyMap<string, RegistrationEntry>,
): Promise<BatchNewX509SVIDResponse_Result> {
  const entry = entries.get(entryId);
  const fields = { entry_id: entryId, ...(entry !== undefined && { spiffe_id: entry.spiffeId }) };
  const { status, value } = await batchItem<X509SVID>(context, deps.log, fields, async () => {
    if (entryId === "") throw publicError("INVALID_ARGUMENT", "missing entry ID");
    if (csr.length === 0) throw publicError("INVALID_ARGUMENT", BATCH_CSR.missing);
    if (entry === undefined) throw publicError("NOT_FOUND", "entry not found or not authorized");
    const { spki } = await readCsr(csr, BATCH_CSR);
    const { spiffeId, dnsNames, x509SvidTtl: ttl } = entry;
    const issued = await attempt("failed to sign X509-SVID", () =>
      deps.issuer.issueWorkloadSvid({ spiffeId, spki, dnsNames, ttl }),
    );
    return done(svidToMessage(spiffeId, issued), {
      serial_num: issued.serial,
      expires_at: Math.floor(issued.notAfter / 1000),
    });
  });
  return { status, svid: value };
}

async function mint(deps: SvidServiceDeps, context: RpcContext, request: MintX509SVIDRequest): Promise<X509SVID> {
  if (request.ttl < 0) throw publicError("INVALID_ARGUMENT", "ttl cannot be negative");
  const csr = await readCsr(request.csr, MINT_CSR);
  const spiffeId = mintedId(deps.trustDomain, csr);
  const dnsNames = parseInput("CSR DNS name is invalid", () => csr.dnsSans.map(checkDnsName));
  parseInput("CSR DNS name contains a wildcard that covers another non-wildcard name", () =>
    checkWildcardOverlap(dnsNames),
  );
  context.audit({ spiffe_id: spiffeId, dns_name: dnsNames.join(","), ttl: request.ttl });
  const subject = givenSubject(nameOf(csr.subject));
  const issued = await attempt("failed to sign X509-SVID", () =>
    deps.issuer.issueWorkloadSvid({ spiffeId, spki: csr.spki, dnsNames, ttl: request.ttl, ...subject }),
  );
  context.audit({ expires_at: new Date(issued.notAfter).toISOString() });
  return svidToMessage(spiffeId, issued);
}

function mintedId(trustDomain: TrustDomain, csr: CertificateRequest): SpiffeId {
  const [uri, ...more] = csr.uriSans;
  if (uri === undefined) throw publicError("INVALID_ARGUMENT", "CSR URI SAN is required");
  if (more.length > 0) throw publicError("INVALID_ARGUMENT", "only one URI SAN is expected");
  return parseInput("CSR URI SAN is invalid", () => checkWorkloadId(trustDomain, parseSpiffeId(uri)));
}

/** A request without any name asks for the default one. */
function givenSubject(name: Name): { readonly subject?: Name } {
  return Object.values(name).some((value) => value !== undefined && value.length > 0) ? { subject: name } : {};
}
