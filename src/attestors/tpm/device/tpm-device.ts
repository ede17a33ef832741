/** One TPM for the whole process: callers take turns, and each finds it open and leaves it closed. */
import { type BackoffSchedule, backoffDelay } from "../../../lib/backoff.ts";
import type { Clock } from "../../../lib/clock.ts";
import type { TpmHandle, TpmOpener } from "../../../lib/native-tpm.ts";
import { explainTpmError, isFull } from "./errors.ts";

/** What a device needs. */
export interface TpmDeviceDeps {
  readonly clock: Clock;
  readonly opener: TpmOpener;
  /** As `TpmOpener.openTpm` takes it. */
  readonly tcti: string;
  /** What each operation may take, and how long a device that another program holds is waited for. Milliseconds. */
  readonly timeoutMs: number;
}

/** A character device without resource manager admits one program at a time. */
const BUSY: BackoffSchedule = { initialMs: 50, maxMs: 1_000 };

/** A TPM that is opened for each piece of work, since a device without resource manager is nobody else's meanwhile. */
export class TpmDevice {
  readonly #deps: TpmDeviceDeps;
  /** Settles when everyone who came before is done. */
  #free: Promise<void> = Promise.resolve();

  constructor(deps: TpmDeviceDeps) {
    this.#deps = deps;
  }

  /** How it is reached, for messages. */
  get tcti(): string {
    return this.#deps.tcti;
  }

  /**
   * Waits for its turn, opens the TPM, does the work and closes it. An operation that the signal interrupts goes on in
   * the TPM until its deadline, and the next caller waits for it; this one does not.
   * @throws AgentError that says what to do; the signal's reason.
   */
  async use<T>(work: (tpm: TpmHandle) => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#free;
    const turn = Promise.withResolvers<void>();
    this.#free = turn.promise;
    const aborted = rejectOnAbort(signal);
    const done = this.#takeTurn(before, work, signal);
    void done.catch(() => {}).then(() => turn.resolve());
    try {
      return await Promise.race([done, aborted.promise]);
    } finally {
      aborted[Symbol.dispose]();
    }
  }

  async #takeTurn<T>(before: Promise<void>, work: (tpm: TpmHandle) => Promise<T>, signal: AbortSignal): Promise<T> {
    await before;
    signal.throwIfAborted();
    try {
      return await this.#withOpen(async (tpm) => {
        try {
          return await work(tpm);
        } catch (error) {
          if (!this.#isOurs || !isFull(error)) throw error;
          await tpm.flushStale();
          return await work(tpm);
        }
      }, signal);
    } catch (error) {
      throw explainTpmError(error, this.tcti);
    }
  }

  /**
   * Whether nobody else can have left something in the TPM on purpose: a software TPM has one program. What fills it is
   * what an interrupted operation left. A device is shared with the kernel's resource manager and its programs.
   */
  get #isOurs(): boolean {
    return this.#deps.tcti.startsWith("swtpm:");
  }

  /** Once the signal aborts, nothing more is begun: an open TPM that is being closed refuses it. */
  async #withOpen<T>(work: (tpm: TpmHandle) => Promise<T>, signal: AbortSignal): Promise<T> {
    const tpm = await this.#open(signal);
    const close = (): void => void tpm.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      signal.throwIfAborted();
      return await work(tpm);
    } finally {
      signal.removeEventListener("abort", close);
      await tpm.close();
    }
  }

  async #open(signal: AbortSignal): Promise<TpmHandle> {
    const { clock, opener, tcti, timeoutMs } = this.#deps;
    const deadline = clock.monotonic() + timeoutMs;
    for (let failures = 1; ; failures++) {
      try {
        return await opener.openTpm(tcti, timeoutMs);
      } catch (error) {
        const wait = backoffDelay(BUSY, failures, () => 0);
        const isBusy = error instanceof Error && (error as { code?: unknown }).code === "EBUSY";
        if (!isBusy || clock.monotonic() + wait > deadline) throw error;
        await clock.sleep(wait, signal);
      }
    }
  }
}

function rejectOnAbort(signal: AbortSignal): Disposable & { readonly promise: Promise<never> } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  return { promise, [Symbol.dispose]: () => signal.removeEventListener("abort", onAbort) };
}
