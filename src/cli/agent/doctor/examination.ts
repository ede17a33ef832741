/** All checks of one configuration: what each looks at, and which build on what another saw. */
import { resolve } from "node:path";
import { JOIN_TOKEN } from "../../../attestors/join-token/wire.ts";
import type { TpmAgentConfig } from "../../../attestors/tpm/config.ts";
import { TPM } from "../../../attestors/tpm/wire.ts";
import type { AgentConfig } from "../../../config/agent-config.ts";
import type { NativeAddon } from "../../../lib/native.ts";
import type { CliContext } from "../../command.ts";
import type { NodeAttestorChoice } from "../node-attestors.ts";
import { type BundleFacts, bundlePlace, configuredBundle, foundAuthorities, judgeBundle, trustOf } from "./bundle.ts";
import { type Check, checked, skip } from "./check.ts";
import { judgeClock } from "./clock.ts";
import { dataFolderFacts, judgeDataFolder } from "./data-folder.ts";
import { joinTokenFacts, judgeJoinToken } from "./join-token.ts";
import { folderState } from "./paths.ts";
import { type LockState, lockState, type SocketOccupant, socketOccupant } from "./running.ts";
import { judgeServer, shownLifetime } from "./server.ts";
import { lookAtServer, type ServerLook } from "./server-look.ts";
import { judgeAdminSocket, judgeSocket, socketFacts } from "./socket-folder.ts";
import { judgeStored, readStored, type Stored, storedPath, usableIdentity } from "./stored.ts";
import { tpmChecks } from "./tpm-checks.ts";
import { agentUid, judgeUser, type UserFacts } from "./user.ts";

/** What is looked at. */
export type DoctorConfig = AgentConfig<NodeAttestorChoice>;

/** With what, and for how long. */
export interface ExaminationDeps {
  /** Absent when it cannot be loaded, which another check tells. */
  readonly native: NativeAddon | undefined;
  readonly context: Pick<CliContext, "clock" | "signal">;
  /** How long a check may wait. */
  readonly timeoutMs: number;
}

/** What the others build on. */
interface Local {
  readonly lock: LockState;
  readonly occupant: SocketOccupant;
  readonly stored: Stored;
  /** Whose agent it is. */
  readonly uid: number;
}

/** Asking a local socket who serves it takes no longer. */
const SOCKET_TIMEOUT_MS = 2_000;

/** One look at one configuration. */
export class Examination {
  readonly #config: DoctorConfig;
  readonly #deps: ExaminationDeps;
  readonly #local: Local;

  private constructor(config: DoctorConfig, deps: ExaminationDeps, local: Local) {
    this.#config = config;
    this.#deps = deps;
    this.#local = local;
  }

  /** Looks at what the others build on, all of it on this host. */
  static async begin(config: DoctorConfig, deps: ExaminationDeps): Promise<Examination> {
    const lock = lockState(config.dataDir, deps.native);
    const occupant = await occupantOf(config.socketPath, deps);
    const uid = agentUid(userFacts(config, lock, occupant));
    const stored = await readStored(storedPath(config), config, uid);
    return new Examination(config, deps, { lock, occupant, stored, uid });
  }

  /** All checks, begun; in the order in which they are read. None rejects. */
  groups(): readonly Promise<readonly Check[]>[] {
    const bundles = this.#bundles();
    const look = bundles.then((facts) => this.#lookAtServer(facts));
    return [
      ...this.#localChecks().map(alone),
      alone(checked("bundle", async () => judgeBundle(await bundles))),
      alone(this.#serverCheck(bundles, look)),
      alone(this.#clockCheck(look)),
      this.#attestorChecks(),
    ];
  }

  #localChecks(): readonly Promise<Check>[] {
    const { dataDir, socketPath, adminSocketPath, plugins } = this.#config;
    const { lock, occupant, stored, uid } = this.#local;
    const { keyManager } = plugins;
    const keyFolder = keyManager.name === "disk" ? resolve(keyManager.directory) : undefined;
    const now = this.#deps.context.clock.now();
    return [
      checked("user", () => judgeUser(userFacts(this.#config, lock, occupant))),
      checked("socket_folder", () => judgeSocket(socketFacts(resolve(socketPath), uid, occupant, lock))),
      ...(adminSocketPath === undefined ? [] : [this.#adminSocketCheck(resolve(adminSocketPath))]),
      checked("data_folder", () => judgeDataFolder(dataFolderFacts(resolve(dataDir), "data_dir", uid, lock))),
      ...(keyFolder === undefined || keyFolder === resolve(dataDir)
        ? []
        : [checked("key_folder", () => judgeDataFolder(dataFolderFacts(keyFolder, "directory", uid)))]),
      checked("agent_svid", () => judgeStored(stored, storedPath(this.#config), now, keyFolder !== undefined)),
    ];
  }

  #adminSocketCheck(path: string): Promise<Check> {
    const { lock, uid } = this.#local;
    return checked("admin_socket_folder", async () =>
      judgeAdminSocket(socketFacts(path, uid, await occupantOf(path, this.#deps), lock)),
    );
  }

  async #bundles(): Promise<BundleFacts> {
    const { clock } = this.#deps.context;
    const { stored } = this.#local;
    const bundle = stored.kind === "usable" ? stored.data.bundle : undefined;
    return {
      now: clock.now(),
      stored: bundle && foundAuthorities(bundle.x509Authorities.map(({ certificate }) => certificate)),
      configured: await configuredBundle(this.#config, clock, this.#inTime()),
      where: bundlePlace(this.#config.bootstrap),
    };
  }

  #lookAtServer(bundles: BundleFacts): Promise<ServerLook> {
    const trust = trustOf(bundles) ?? "insecure";
    return lookAtServer({ ...this.#server(), trust }, this.#deps.context.clock, this.#inTime());
  }

  #serverCheck(bundles: Promise<BundleFacts>, look: Promise<ServerLook>): Promise<Check> {
    return checked("server", async () =>
      judgeServer({
        config: this.#server(),
        bundles: await bundles,
        look: await look,
        now: this.#deps.context.clock.now(),
      }),
    );
  }

  #clockCheck(look: Promise<ServerLook>): Promise<Check> {
    const { stored } = this.#local;
    return checked("clock", async () =>
      judgeClock({
        now: this.#deps.context.clock.now(),
        lastGoodTime: stored.kind === "usable" ? stored.data.lastGoodTime : undefined,
        server: shownLifetime(await look.catch(() => undefined)),
      }),
    );
  }

  async #attestorChecks(): Promise<readonly Check[]> {
    const { nodeAttestor, keyManager } = this.#config.plugins;
    const identity = usableIdentity(this.#local.stored, this.#deps.context.clock.now());
    const isUnused = { name: TPM, ...skip(`not used: the node attestor is ${nodeAttestor.name}`) };
    if (nodeAttestor.name === JOIN_TOKEN) {
      const facts = { hasJoined: identity !== undefined, keepsKey: keyManager.name === "disk" };
      const token = (): ReturnType<typeof judgeJoinToken> =>
        judgeJoinToken({ ...facts, token: joinTokenFacts(this.#config.joinToken) });
      return [await checked("join_token", token), isUnused];
    }
    if (nodeAttestor.name !== TPM) return [isUnused];
    const { native, context, timeoutMs } = this.#deps;
    if (native === undefined) return [{ name: TPM, ...skip("needs the native addon") }];
    return await tpmChecks({
      ...context,
      native,
      config: this.#config,
      options: nodeAttestor.options as TpmAgentConfig,
      uid: this.#local.uid,
      storedId: identity?.svid.spiffeId,
      timeoutMs,
    });
  }

  #server() {
    const { serverAddress, serverPort, trustDomain, experimental } = this.#config;
    return { serverAddress, serverPort, trustDomain, requirePqKem: experimental.requirePqKem };
  }

  /** A signal for one wait. */
  #inTime(): AbortSignal {
    return AbortSignal.any([this.#deps.context.signal, AbortSignal.timeout(this.#deps.timeoutMs)]);
  }
}

function occupantOf(path: string, { native, context }: ExaminationDeps): Promise<SocketOccupant> {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(SOCKET_TIMEOUT_MS)]);
  return socketOccupant(resolve(path), native, signal);
}

function userFacts(config: DoctorConfig, lock: LockState, occupant: SocketOccupant): UserFacts {
  const folder = folderState(resolve(config.dataDir));
  return {
    uid: process.geteuid?.() ?? 0,
    running: lock === "held" && occupant.kind === "served" ? occupant.by?.uid : undefined,
    dataOwner: folder.kind === "folder" ? folder.uid : undefined,
  };
}

async function alone(check: Promise<Check>): Promise<readonly Check[]> {
  return [await check];
}
