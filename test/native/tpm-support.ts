/** What the tests of the addon's TPM share: a software TPM, the keys in it, and a server that stands in between. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { Swtpm, type SwtpmOptions } from "../../scripts/lib/swtpm.ts";
import { attestationKey, p256Low, p384High, rsaLow } from "../../src/attestors/tpm/device/templates.ts";
import { nameOf, parsePublicArea, spkiOf } from "../../src/attestors/tpm/structures/public-area.ts";
import { makeCredential } from "../../src/attestors/tpm/verify/make-credential.ts";
import type { TpmHandle, TpmKey, TpmKeyBlob } from "../../src/lib/native-tpm.ts";
import { publicKeyFromSpki } from "../../src/pki/spki.ts";
import { loadAddon, TestFolder } from "./support.ts";

const addon = loadAddon();

/** Why nothing here can run; undefined when it can. */
export const MISSING = Swtpm.missing() ?? addon.tpmUnavailable() ?? undefined;

/** For names of suites: says why they are skipped. */
export const WHY = MISSING === undefined ? "" : ` (${MISSING})`;

/** The parent of attestation keys: a P-256 storage key of the owner. */
const SRK_TEMPLATE = Buffer.from("0023000b00030472000000060080004300100003001000000000", "hex");
export const SRK: TpmKey = { hierarchy: "owner", template: SRK_TEMPLATE, auth: "password" };

export const AK_TEMPLATES = { ecc: attestationKey("ec-p256"), rsa: attestationKey("rsa-2048") };

/** Endorsement keys: persistent ones of {@link startTpm}, and the same as primaries. */
export const EKS: Readonly<Record<string, TpmKey>> = {
  "persistent RSA": { handle: 0x81010001, auth: "policy-secret" },
  "persistent P-256": { handle: 0x81010002, auth: "policy-secret" },
  "persistent P-384": { handle: 0x81010016, auth: "password" },
  "primary RSA": { hierarchy: "endorsement", template: rsaLow(), auth: "policy-secret" },
  "primary P-256": { hierarchy: "endorsement", template: p256Low(), auth: "policy-secret" },
  "primary P-384": { hierarchy: "endorsement", template: p384High(), auth: "password" },
};

/** TPML_PCR_SELECTION of PCRs 0 to 7 in the SHA-256 bank. */
export const PCRS = Buffer.from("00000001000b03ff0000", "hex");

/** An operation that takes the TPM a while: it looks for primes. */
export const slow = (handle: TpmHandle): Promise<unknown> => handle.createAk(SRK, AK_TEMPLATES.rsa);

/** One that is quick. */
export const quick = (handle: TpmHandle): Promise<unknown> => handle.getCapability(6, 0x100, 1);

/** A software TPM with all endorsement keys, in a folder that is removed with it. */
export async function startTpm(options: Omit<SwtpmOptions, "folder"> = {}): Promise<Swtpm & AsyncDisposable> {
  const folder = new TestFolder();
  const tpm = await Swtpm.start({ persistentEk: ["rsa", "p256", "p384"], ...options, folder: folder.path });
  const dispose = tpm[Symbol.asyncDispose].bind(tpm);
  return Object.assign(tpm, {
    [Symbol.asyncDispose]: async (): Promise<void> => {
      await dispose();
      folder[Symbol.dispose]();
    },
  });
}

/** Opens a TPM, and closes it at the end. */
export async function open(tcti: string, timeoutMs = 10_000): Promise<TpmHandle & AsyncDisposable> {
  const handle = await addon.openTpm(tcti, timeoutMs);
  return Object.assign(handle, { [Symbol.asyncDispose]: () => handle.close() });
}

/** A secret, encrypted for a key of the TPM with this endorsement key. */
export async function challenge(
  tpm: TpmHandle,
  ek: TpmKey,
  ak: TpmKeyBlob,
): Promise<{ readonly secret: Buffer; readonly credential: Uint8Array; readonly encrypted: Uint8Array }> {
  const bytes = await tpm.readPublic(ek);
  if (bytes === null) throw new Error("the TPM has no such endorsement key");
  const area = parsePublicArea(bytes);
  const secret = randomBytes(32);
  const name = nameOf(parsePublicArea(ak.public));
  const made = makeCredential({ key: publicKeyFromSpki(spkiOf(area)), numbers: area.key }, name, secret, randomBytes);
  return { secret, credential: made.credential, encrypted: made.secret };
}

/** What a promise is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string; rc?: number }> {
  return promise.then(
    () => new Error("it was not rejected"),
    (error: unknown) => error as Error,
  );
}

/** Stands between a client and a TPM, one connection each, and may do what a TPM would not. */
export class Between implements AsyncDisposable {
  readonly #folder = new TestFolder();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly path = join(this.#folder.path, "s");
  /** How many commands came. */
  commands = 0;

  /** `answer` writes what the client shall see in place of the TPM's answer; undefined for that one. */
  constructor(tpm: { readonly socketPath: string }, answer: (client: Socket, count: number) => "answered" | undefined) {
    this.#server = createServer((client) => {
      const server = connect(tpm.socketPath);
      for (const socket of [client, server]) this.#sockets.add(socket.on("error", () => {}));
      client.on("data", (command) => {
        if (answer(client, ++this.commands) === undefined) server.write(command);
      });
      server.pipe(client);
      client.on("close", () => server.destroy());
    });
  }

  async listen(on: string | { host: string; port: number } = this.path): Promise<this> {
    this.#server.listen(on as string);
    await once(this.#server, "listening");
    return this;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("it listens at a path");
    return address.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
    this.#folder[Symbol.dispose]();
  }
}
