/** Time as a port: the only module that touches the wall clock, the monotonic clock and timers. */

/** Wall clock for expiry, monotonic clock for back-off, and sleeps that end early on abort. */
export interface Clock {
  /** Wall time, milliseconds since the Unix epoch. */
  now(): number;
  /** Monotonic time in milliseconds, of arbitrary origin; never goes back. */
  monotonic(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Calls `callback` once after `ms` milliseconds unless the returned function was called before. Never keeps the process alive. */
  after(ms: number, callback: () => void): () => void;
}

/** `setTimeout` fires at once for delays past 2^31-1 ms, so longer sleeps are split. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The host's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, signal) {
    signal.throwIfAborted();
    let left = Math.max(0, ms);
    do {
      const slice = Math.min(left, LONGEST_TIMER_MS);
      await timer(slice, signal);
      left -= slice;
    } while (left > 0);
  },
  after(ms, callback) {
    const started = performance.now();
    let handle: NodeJS.Timeout;
    const arm = (): void => {
      const left = ms - (performance.now() - started);
      handle = setTimeout(left > LONGEST_TIMER_MS ? arm : callback, Math.min(Math.max(0, left), LONGEST_TIMER_MS));
      handle.unref();
    };
    arm();
    return () => clearTimeout(handle);
  },
};

function timer(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(handle);
      reject(signal.reason);
    };
    const handle = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
