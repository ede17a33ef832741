/** Who may call what: every method of every service, one row each. What is not listed is refused. */

/** As whom a caller can be let in. `any` is everybody, also a TLS peer without a certificate. */
export type CallerKind = "any" | "local" | "admin" | "agent" | "downstream";

const ANY = ["any"] as const;
const LOCAL = ["local"] as const;
const ADMIN = ["local", "admin"] as const;
const AGENT = ["agent"] as const;
const DOWNSTREAM = ["downstream"] as const;

type Rows = Readonly<Record<string, readonly CallerKind[]>>;

/** Services by full name, methods by name. */
export const AUTHORIZATION: Readonly<Record<string, Rows>> = {
  "spire.api.server.agent.v1.Agent": {
    AttestAgent: ANY,
    RenewAgent: AGENT,
    PostStatus: AGENT,
    CountAgents: ADMIN,
    ListAgents: ADMIN,
    GetAgent: ADMIN,
    DeleteAgent: ADMIN,
    BanAgent: ADMIN,
    CreateJoinToken: ADMIN,
  },
  "spire.api.server.bundle.v1.Bundle": {
    GetBundle: ANY,
    GetFederatedBundle: ["local", "admin", "agent"],
    CountBundles: ADMIN,
    AppendBundle: ADMIN,
    ListFederatedBundles: ADMIN,
    BatchCreateFederatedBundle: ADMIN,
    BatchUpdateFederatedBundle: ADMIN,
    BatchSetFederatedBundle: ADMIN,
    BatchDeleteFederatedBundle: ADMIN,
    PublishJWTAuthority: DOWNSTREAM,
    PublishWITAuthority: DOWNSTREAM,
  },
  "spire.api.server.entry.v1.Entry": {
    GetAuthorizedEntries: AGENT,
    SyncAuthorizedEntries: AGENT,
    CountEntries: ADMIN,
    ListEntries: ADMIN,
    GetEntry: ADMIN,
    BatchCreateEntry: ADMIN,
    BatchUpdateEntry: ADMIN,
    BatchDeleteEntry: ADMIN,
  },
  "spire.api.server.svid.v1.SVID": {
    BatchNewX509SVID: AGENT,
    NewJWTSVID: AGENT,
    BatchNewWITSVID: AGENT,
    MintX509SVID: ADMIN,
    MintJWTSVID: ADMIN,
    MintWITSVID: ADMIN,
    NewDownstreamX509CA: DOWNSTREAM,
  },
  "spire.api.server.trustdomain.v1.TrustDomain": {
    ListFederationRelationships: ADMIN,
    GetFederationRelationship: ADMIN,
    BatchCreateFederationRelationship: ADMIN,
    BatchUpdateFederationRelationship: ADMIN,
    BatchDeleteFederationRelationship: ADMIN,
    RefreshBundle: ADMIN,
  },
  "spire.api.server.localauthority.v1.LocalAuthority": {
    GetJWTAuthorityState: ADMIN,
    PrepareJWTAuthority: ADMIN,
    ActivateJWTAuthority: ADMIN,
    TaintJWTAuthority: ADMIN,
    RevokeJWTAuthority: ADMIN,
    GetX509AuthorityState: ADMIN,
    PrepareX509Authority: ADMIN,
    ActivateX509Authority: ADMIN,
    TaintX509Authority: ADMIN,
    TaintX509UpstreamAuthority: ADMIN,
    RevokeX509Authority: ADMIN,
    RevokeX509UpstreamAuthority: ADMIN,
    GetWITAuthorityState: ADMIN,
    PrepareWITAuthority: ADMIN,
    ActivateWITAuthority: ADMIN,
    TaintWITAuthority: ADMIN,
    RevokeWITAuthority: ADMIN,
  },
  "holdfast.server.v1.Nodes": {
    GetNodeFacts: ADMIN,
  },
  "holdfast.server.v1.Reserve": {
    NewJWTSVIDReserve: AGENT,
  },
  "holdfast.server.v1.Watch": {
    WatchAuthorized: AGENT,
  },
  "spire.api.server.logger.v1.Logger": {
    GetLogger: LOCAL,
    SetLogLevel: LOCAL,
    ResetLogLevel: LOCAL,
  },
  "spire.api.server.debug.v1.Debug": {
    GetInfo: LOCAL,
  },
  "grpc.health.v1.Health": {
    Check: LOCAL,
    List: LOCAL,
    Watch: LOCAL,
  },
};

/** Services that exist on the admin socket only; the TLS listener does not know them. */
export const LOCAL_ONLY_SERVICES: ReadonlySet<string> = new Set([
  "spire.api.server.logger.v1.Logger",
  "spire.api.server.debug.v1.Debug",
  "grpc.health.v1.Health",
]);

const BY_METHOD: ReadonlyMap<string, readonly CallerKind[]> = new Map(
  Object.entries(AUTHORIZATION).flatMap(([service, rows]) =>
    Object.entries(rows).map(([method, kinds]) => [`/${service}/${method}`, kinds] as const),
  ),
);

/** Full names (`/package.Service/Method`) of all methods that have a row. */
export const AUTHORIZED_METHODS: readonly string[] = [...BY_METHOD.keys()];

/** As whom callers may use a method, by its full name; nobody when it has no row. */
export function allowedCallers(method: string): readonly CallerKind[] {
  return BY_METHOD.get(method) ?? [];
}
