/**
 * Speaks a little raw TPM 2.0, so that tests and the demo can change and look at a TPM without the tools that they
 * test against: what a firmware, a vendor or an attacker would do, not what an agent does.
 */
import { connect } from "node:net";

/** Sends one command and gives its answer: both with their headers (Part 1, "Command/Response Structure"). */
export type TpmExchange = (command: Uint8Array) => Promise<Uint8Array>;

/** A PCR bank that can be spoken of. */
export type PcrBank = "sha1" | "sha256" | "sha384" | "sha512";

/** TPM_ALG_ID and length of a digest of each bank. */
const BANKS: Record<PcrBank, { readonly id: number; readonly size: number }> = {
  sha1: { id: 0x0004, size: 20 },
  sha256: { id: 0x000b, size: 32 },
  sha384: { id: 0x000c, size: 48 },
  sha512: { id: 0x000d, size: 64 },
};

/** The TPM refused a command. */
export class TpmResponseError extends Error {
  /** TPM_RC. */
  readonly rc: number;

  constructor(what: string, rc: number) {
    super(`${what}: the TPM answered 0x${rc.toString(16)}`);
    this.rc = rc;
  }
}

const HIERARCHY = { owner: 0x40000001, lockout: 0x4000000a, endorsement: 0x4000000b, platform: 0x4000000c };
const NO_SESSIONS = 0x8001;
const SESSIONS = 0x8002;
const PASSWORD_SESSION = 0x40000009;
/** No dictionary attack protection, read with any authorization, written by the platform: as swtpm_setup does. */
const NV_CERTIFICATE_ATTRIBUTES = 0x42070001;
/** Read and written with a password of its own, which the dictionary attack protection counts. */
const NV_PROTECTED_ATTRIBUTES = 0x00040004;
const NV_CHUNK = 512;
const RC_LOCKOUT = 0x921;

const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);
const u32 = (value: number): Uint8Array => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);
/** A TPM2B. */
const sized = (bytes: Uint8Array): Uint8Array => Buffer.concat([u16(bytes.length), bytes]);
const EMPTY = sized(new Uint8Array());

/** TPMT_PUBLIC of a P-256 endorsement key: template L-2 of the TCG EK Credential Profile. */
const P256_EK_TEMPLATE = Buffer.concat([
  Buffer.from("0023000b000300b2", "hex"),
  sized(Buffer.from("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa", "hex")),
  Buffer.from("000600800043001000030010", "hex"),
  sized(new Uint8Array(32)),
  sized(new Uint8Array(32)),
]);

/** Reads an answer from its start. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  number(size: number): number {
    const value = this.#bytes.readUIntBE(this.#at, size);
    this.#at += size;
    return value;
  }

  bytes(size: number): Uint8Array {
    if (this.#at + size > this.#bytes.length) throw new Error("the TPM's answer ends too early");
    this.#at += size;
    return new Uint8Array(this.#bytes.subarray(this.#at - size, this.#at));
  }

  /** A TPM2B. */
  sized(): Uint8Array {
    return this.bytes(this.number(2));
  }
}

/**
 * Sends commands to the socket of an swtpm, each over a connection of its own. swtpm serves one connection at a time, in
 * the order they came: a command waits for the connections before, at most `timeoutMs`.
 */
export function exchangeOver(socketPath: string, timeoutMs: number): TpmExchange {
  return (command) =>
    new Promise((done, reject) => {
      const socket = connect(socketPath, () => socket.write(command));
      let answer = Buffer.alloc(0);
      const end = (why: string): void => {
        clearTimeout(timer);
        socket.destroy();
        reject(new Error(`${socketPath}: ${why}`));
      };
      const late = `no answer after ${timeoutMs} ms; is another connection to this TPM open?`;
      const timer = setTimeout(() => end(late), timeoutMs);
      socket.on("data", (chunk) => {
        answer = Buffer.concat([answer, chunk]);
        if (answer.length < 6 || answer.length < answer.readUInt32BE(2)) return;
        done(new Uint8Array(answer));
        socket.destroy();
      });
      socket.on("error", (error) => end(error.message));
      socket.on("close", () => end("the TPM closed the connection"));
    });
}

/** Commands of a TPM whose hierarchies have empty passwords. */
export class TpmCommands {
  readonly #exchange: TpmExchange;

  constructor(exchange: TpmExchange) {
    this.#exchange = exchange;
  }

  /** Extends a PCR, as firmware does when it measures something. */
  async pcrExtend(bank: PcrBank, index: number, digest: Uint8Array): Promise<void> {
    const { id, size } = BANKS[bank];
    if (digest.length !== size) throw new Error(`a digest of ${bank} has ${size} bytes, not ${digest.length}`);
    await this.#authorized("PCR_Extend", 0x182, [index], [u32(1), u16(id), digest]);
  }

  /** The value of a PCR. */
  async pcrRead(bank: PcrBank, index: number): Promise<Uint8Array> {
    const selection = new Uint8Array(3);
    selection[index >> 3] = 1 << (index & 7);
    const answer = await this.#send("PCR_Read", 0x17e, [u32(1), u16(BANKS[bank].id), Uint8Array.of(3), selection]);
    answer.bytes(4 + 4 + 6);
    if (answer.number(4) === 0) throw new Error(`the TPM has no PCR ${index} in a bank ${bank}`);
    return answer.sized();
  }

  /** How often the TPM was reset: it grows with each boot. */
  async resetCount(): Promise<number> {
    const answer = await this.#send("ReadClock", 0x181, []);
    answer.bytes(16);
    return answer.number(4);
  }

  /** The handles in use from `first` on, of the range that it begins. */
  async handles(first: number): Promise<number[]> {
    const answer = await this.#send("GetCapability", 0x17a, [u32(1), u32(first), u32(254)]);
    answer.bytes(5);
    return Array.from({ length: answer.number(4) }, () => answer.number(4));
  }

  /** TPM2_Shutdown(CLEAR), as an operating system does before it reboots. */
  async shutdown(): Promise<void> {
    await this.#send("Shutdown", 0x145, [u16(0)]);
  }

  /** Makes a P-256 endorsement key, keeps it at a persistent handle and gives its point in hexadecimal. */
  async createP256Ek(persistent: number): Promise<{ readonly x: string; readonly y: string }> {
    const parameters = [sized(Buffer.concat([EMPTY, EMPTY])), sized(P256_EK_TEMPLATE), EMPTY, u32(0)];
    const answer = await this.#authorized("CreatePrimary", 0x131, [HIERARCHY.endorsement], parameters);
    const object = answer.number(4);
    await this.evict(object, persistent);
    await this.#send("FlushContext", 0x165, [u32(object)]);
    answer.bytes(4);
    const publicArea = new Reader(answer.sized());
    publicArea.bytes(P256_EK_TEMPLATE.length - 2 * (2 + 32));
    const coordinate = (): string => Buffer.from(publicArea.sized()).toString("hex").padStart(64, "0");
    return { x: coordinate(), y: coordinate() };
  }

  /** Keeps a loaded key at a persistent handle, or removes the persistent key when both handles are the same. */
  async evict(object: number, persistent: number): Promise<void> {
    await this.#authorized("EvictControl", 0x120, [HIERARCHY.owner, object], [u32(persistent)]);
  }

  /** Defines an NV index that everyone may read, and writes it: how a vendor provisions a certificate. */
  async nvStore(index: number, content: Uint8Array): Promise<void> {
    await this.#nvDefine(index, NV_CERTIFICATE_ATTRIBUTES, content.length, new Uint8Array());
    for (let at = 0; at < content.length; at += NV_CHUNK) {
      const chunk = content.subarray(at, at + NV_CHUNK);
      await this.#authorized("NV_Write", 0x137, [HIERARCHY.platform, index], [sized(chunk), u16(at)]);
    }
  }

  /** The content of an NV index; undefined when it is not there. */
  async nvRead(index: number): Promise<Uint8Array | undefined> {
    if (!(await this.handles(index)).includes(index)) return undefined;
    const publicArea = new Reader((await this.#send("NV_ReadPublic", 0x169, [u32(index)])).sized());
    publicArea.bytes(10);
    publicArea.sized();
    const size = publicArea.number(2);
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < size; at += NV_CHUNK) {
      const wanted = [u16(Math.min(NV_CHUNK, size - at)), u16(at)];
      const part = await this.#authorized("NV_Read", 0x14e, [index, index], wanted);
      part.bytes(4);
      chunks.push(part.sized());
    }
    return new Uint8Array(Buffer.concat(chunks));
  }

  /** Removes an NV index that the platform defined. */
  async nvRemove(index: number): Promise<void> {
    await this.#authorized("NV_UndefineSpace", 0x122, [HIERARCHY.platform, index], []);
  }

  /** Guesses a password until the TPM is in dictionary attack lockout, after one wrong guess. */
  async lockOut(): Promise<void> {
    const index = 0x01800f00;
    await this.#nvDefine(index, NV_PROTECTED_ATTRIBUTES, 1, Buffer.from("right"));
    await this.#authorized("DictionaryAttackParameters", 0x13a, [HIERARCHY.lockout], [u32(1), u32(3600), u32(3600)]);
    for (let guess = 0; guess < 5; guess++) {
      const wrong = this.#authorized("NV_Read", 0x14e, [index, index], [u16(1), u16(0)], Buffer.from("wrong"));
      const error: unknown = await wrong.catch((why: unknown) => why);
      if (error instanceof TpmResponseError && error.rc === RC_LOCKOUT) return;
    }
    throw new Error("the TPM did not go into lockout");
  }

  async #nvDefine(index: number, attributes: number, size: number, auth: Uint8Array): Promise<void> {
    const publicInfo = Buffer.concat([u32(index), u16(BANKS.sha256.id), u32(attributes), EMPTY, u16(size)]);
    const by = (attributes & 0x40000000) === 0 ? HIERARCHY.owner : HIERARCHY.platform;
    await this.#authorized("NV_DefineSpace", 0x12a, [by], [sized(auth), sized(publicInfo)]);
  }

  /** A command whose first handle is authorized by a password. */
  #authorized(
    what: string,
    code: number,
    handles: readonly number[],
    parameters: readonly Uint8Array[],
    password: Uint8Array = new Uint8Array(),
  ): Promise<Reader> {
    const session = Buffer.concat([u32(PASSWORD_SESSION), EMPTY, Uint8Array.of(0), sized(password)]);
    return this.#send(what, code, [...handles.map(u32), u32(session.length), session, ...parameters], SESSIONS);
  }

  async #send(what: string, code: number, parts: readonly Uint8Array[], tag = NO_SESSIONS): Promise<Reader> {
    const body = Buffer.concat(parts);
    const command = Buffer.concat([u16(tag), u32(10 + body.length), u32(code), body]);
    const answer = new Reader(await this.#exchange(command));
    answer.bytes(6);
    const rc = answer.number(4);
    if (rc !== 0) throw new TpmResponseError(what, rc);
    return answer;
  }
}
