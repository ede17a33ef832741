/** A TPM behind the port of the native addon: real keys, in software, and every failure that a test asks for. */
import { createHash } from "node:crypto";
import type { TpmCreatedKey, TpmHandle, TpmKey, TpmKeyBlob, TpmOpener } from "../../../../src/lib/native-tpm.ts";
import { pcrValue } from "../../../fakes/soft-tpm/agent.ts";
import {
  ATTEST,
  cat,
  creationData,
  encodeAttest,
  encodePublic,
  HASH_ID,
  type Hash,
  TYPE_CREATION,
  TYPE_QUOTE,
  tpm2b,
  u8,
  u16,
  u32,
} from "../../../fakes/soft-tpm/structures.ts";
import {
  activateCredential,
  akName,
  point,
  type SoftAk,
  type SoftEk,
  softAk,
  softEk,
  tpmSignature,
} from "../../../fakes/soft-tpm/tpm.ts";

/** As the addon throws. */
export function tpmError(code: string, rc?: number, call = "Esys_Fake"): Error {
  return Object.assign(new Error(`${call}: ${code}`), { code, call, ...(rc === undefined ? {} : { rc }) });
}

/** TPM_RC_CURVE, TPM_RC_VALUE: it lacks the algorithm. */
export const UNSUPPORTED = 0x2e6;

/** Ends before `unique`: type 2, name algorithm 2, attributes 4, policy, then what a storage key has. */
function parameters(template: Buffer): Buffer {
  const policy = 10 + template.readUInt16BE(8);
  const isRsa = template.readUInt16BE(0) === 1;
  // cipher, bits, mode, scheme; then size and exponent, or curve and key derivation
  const isStorage = template.readUInt16BE(policy) === 6;
  return template.subarray(0, policy + (isStorage ? 6 : 2) + (isStorage ? 2 : 4) + (isRsa ? 6 : 4));
}

/** The public area of a primary key that is made from a template. */
export function publicOf(template: Uint8Array, ek: SoftEk): Buffer {
  const unique =
    ek.kind === "rsa-2048"
      ? tpm2b(Buffer.from(ek.privateKey.export({ format: "jwk" }).n ?? "", "base64url"))
      : point(ek);
  return cat(parameters(Buffer.from(template)), unique);
}

export class FakeTpm implements TpmOpener {
  readonly nv = new Map<number, Uint8Array>();
  /** Public areas at persistent handles, and the keys behind them. */
  readonly persistent = new Map<number, { readonly area: Buffer; readonly ek: SoftEk }>();
  /** Primary keys by the SHA-256 of their template. */
  readonly primaries = new Map<string, SoftEk>();
  /** Kinds that it cannot make. */
  readonly lacks = new Set<string>();
  readonly banks: Hash[] = ["sha256"];
  /** Below which keys attestation keys were to be made. */
  readonly parents: TpmKey[] = [];
  /** What was asked, in order. */
  readonly calls: string[] = [];
  /** Thrown by the next attempts to open. */
  readonly refusesToOpen: Error[] = [];
  /** How many are open. */
  open = 0;
  /** Runs before each operation; throws, or waits, for it. */
  before: (call: string) => Promise<void> | void = () => {};
  /** PCRs count their changes. */
  updateCounter = 1;
  /** In place of the values that soft agents have. */
  readonly pcrs = new Map<string, string>();
  readonly #aks = new Map<string, SoftAk>();

  tpmUnavailable(): null {
    return null;
  }

  async openTpm(tcti: string, timeoutMs: number): Promise<TpmHandle> {
    this.calls.push(`open ${tcti} ${timeoutMs}`);
    const error = this.refusesToOpen.shift();
    if (error !== undefined) throw error;
    this.open++;
    return this.#handle();
  }

  /** The key that a template makes; the same for the same template. */
  primary(template: Uint8Array): SoftEk {
    const bytes = Buffer.from(template);
    const hash = createHash("sha256").update(bytes).digest("hex");
    const curve = parameters(bytes).subarray(-4).readUInt16BE();
    const kind = bytes.readUInt16BE(0) === 1 ? "rsa-2048" : curve === 3 ? "ec-p256" : "ec-p384";
    if (this.lacks.has(kind)) throw tpmError("ERR_TPM", UNSUPPORTED, "Esys_CreatePrimary");
    const ek = this.primaries.get(hash) ?? softEk(kind, hash);
    this.primaries.set(hash, ek);
    return ek;
  }

  pcr(bank: Hash, index: number): Buffer {
    return Buffer.from(this.pcrs.get(`${bank}:${index}`) ?? pcrValue(bank, index), "hex");
  }

  #keyOf(key: TpmKey): { readonly area: Buffer; readonly ek: SoftEk } | undefined {
    if ("handle" in key) return this.persistent.get(key.handle);
    const ek = this.primary(key.template);
    return { area: publicOf(key.template, ek), ek };
  }

  #handle(): TpmHandle {
    // As the addon has it: a close waits for the operation under way, and none begins after it.
    let underWay: Promise<void> | undefined;
    let closed: Promise<void> | undefined;
    const step = async (call: string): Promise<void> => {
      if (closed !== undefined) throw tpmError("ERR_TPM_CLOSED");
      this.calls.push(call);
      underWay = Promise.resolve(this.before(call));
      await underWay;
    };
    const close = async (): Promise<void> => {
      await underWay?.catch(() => {});
      this.calls.push("close");
      await this.before("close");
      this.open--;
    };
    const ak = ({ public: area }: TpmKeyBlob): SoftAk => {
      const found = this.#aks.get(Buffer.from(area).toString("hex"));
      if (found === undefined) throw tpmError("ERR_TPM", 0x1df, "Esys_Load");
      return found;
    };
    return {
      close: () => {
        closed ??= close();
        return closed;
      },
      flushStale: async () => {
        await step("flushStale");
        return 0;
      },
      getCapability: async (capability) => {
        await step(`getCapability ${capability}`);
        const banks = this.banks.map((bank) => cat(u16(HASH_ID[bank]), u8(3), Buffer.alloc(3, 0xff)));
        return cat(u32(5), u32(banks.length), ...banks);
      },
      nvRead: async (index) => {
        await step(`nvRead ${index.toString(16)}`);
        const found = this.nv.get(index);
        return found === undefined ? null : Buffer.from(found);
      },
      readPublic: async (key) => {
        await step(`readPublic ${"handle" in key ? key.handle.toString(16) : "primary"}`);
        return this.#keyOf(key)?.area ?? null;
      },
      pcrRead: async (selection) => {
        await step("pcrRead");
        const read = readSelection(selection)
          .flatMap(({ bank, indices }) => indices.map((index) => ({ bank, index })))
          .filter(({ bank }) => this.banks.includes(bank))
          .slice(0, 8);
        return {
          updateCounter: this.updateCounter,
          selection: writeSelection(read),
          digests: read.map(({ bank, index }) => this.pcr(bank, index)),
        };
      },
      // Attestation seals nothing.
      seal: () => Promise.reject(tpmError("ERR_TPM", 0x143, "Esys_Create")),
      unseal: () => Promise.reject(tpmError("ERR_TPM", 0x143, "Esys_Unseal")),
      createAk: async (parent, template): Promise<TpmCreatedKey> => {
        await step("createAk");
        this.parents.push(parent);
        if (this.#keyOf(parent) === undefined) throw tpmError("ERR_TPM", 0x18b, "Esys_Create");
        const made = softAk(Buffer.from(template).readUInt16BE(0) === 1 ? "rsa-2048" : "ec-p256");
        const area = encodePublic(made.fields);
        this.#aks.set(area.toString("hex"), made);
        const data = creationData();
        const attested = cat(tpm2b(akName(made)), tpm2b(createHash("sha256").update(data).digest()));
        const creationAttestation = encodeAttest({ ...ATTEST, type: TYPE_CREATION, attested });
        const creationSignature = tpmSignature(made.key.privateKey, creationAttestation);
        return { public: area, private: Buffer.of(1), creationData: data, creationAttestation, creationSignature };
      },
      activateCredential: async (_parent, blob, key, credential, secret) => {
        await step("activateCredential");
        const ek = this.#keyOf(key)?.ek;
        if (ek === undefined) throw tpmError("ERR_TPM", 0x18b, "Esys_ActivateCredential");
        return Buffer.from(activateCredential(ek, akName(ak(blob)), credential, secret));
      },
      quote: async (_parent, blob, extraData, selection) => {
        await step("quote");
        const values = readSelection(selection).flatMap(({ bank, indices }) =>
          indices.map((index) => this.pcr(bank, index)),
        );
        const digest = createHash("sha256")
          .update(cat(...values))
          .digest();
        const attested = cat(selection, tpm2b(digest));
        const attest = encodeAttest({ ...ATTEST, type: TYPE_QUOTE, extraData, attested });
        return { attest, signature: tpmSignature(ak(blob).key.privateKey, attest) };
      },
    };
  }
}

interface Selected {
  readonly bank: Hash;
  readonly indices: readonly number[];
}

function readSelection(bytes: Uint8Array): readonly Selected[] {
  const buffer = Buffer.from(bytes);
  return Array.from({ length: buffer.readUInt32BE(0) }, (_, at) => {
    const alg = buffer.readUInt16BE(4 + 6 * at);
    const bitmap = buffer.readUIntLE(7 + 6 * at, 3);
    const bank = (Object.keys(HASH_ID) as Hash[]).find((name) => HASH_ID[name] === alg) ?? "sha512";
    return { bank, indices: Array.from({ length: 24 }, (_, index) => index).filter((index) => (bitmap >> index) & 1) };
  });
}

function writeSelection(read: readonly { readonly bank: Hash; readonly index: number }[]): Buffer {
  const banks = [...new Set(read.map(({ bank }) => bank))];
  const parts = banks.map((bank) => {
    const bitmap = Buffer.alloc(3);
    bitmap.writeUIntLE(
      read.filter((pcr) => pcr.bank === bank).reduce((bits, { index }) => bits | (1 << index), 0),
      0,
      3,
    );
    return cat(u16(HASH_ID[bank]), u8(3), bitmap);
  });
  return cat(u32(banks.length), ...parts);
}
