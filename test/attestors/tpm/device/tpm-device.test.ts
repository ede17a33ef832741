/** One TPM for the whole process: turns, aborts, a device that another program holds, and what errors say. */
import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { explainTpmError, isUnsupported, responseOf } from "../../../../src/attestors/tpm/device/errors.ts";
import { TpmDevice } from "../../../../src/attestors/tpm/device/tpm-device.ts";
import { AgentError } from "../../../../src/lib/errors.ts";
import { turn } from "../../../../src/lib/turn.ts";
import { ManualClock } from "../../../fakes/manual-clock.ts";
import { FakeTpm, tpmError } from "./fake-tpm.ts";

const { signal } = new AbortController();
const TCTI = "device:/dev/tpmrm0";

function setUp(timeoutMs = 10_000) {
  const tpm = new FakeTpm();
  const clock = new ManualClock();
  return { tpm, clock, device: new TpmDevice({ clock, opener: tpm, tcti: TCTI, timeoutMs }) };
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => new Error("it was not rejected"),
    (error: unknown) => error,
  );
}

describe("turns", () => {
  test("the TPM is opened for each piece of work, and closed after it, whatever came of it", async () => {
    const { tpm, device } = setUp();
    expect(device.tcti).toBe(TCTI);
    expect(await device.use(async (handle) => handle.nvRead(1), signal)).toBeNull();
    expect(await rejection(device.use(() => Promise.reject(new Error("mine")), signal))).toEqual(new Error("mine"));
    expect(tpm.calls).toEqual([`open ${TCTI} 10000`, "nvRead 1", "close", `open ${TCTI} 10000`, "close"]);
    expect(tpm.open).toBe(0);
  });

  test("callers take turns, in the order they came; a failure does not stop the next", async () => {
    const { tpm, device } = setUp();
    const order: number[] = [];
    const work = (number: number) =>
      device.use(async (handle) => {
        expect(tpm.open).toBe(1);
        await handle.nvRead(number);
        await turn();
        order.push(number);
        if (number === 2) throw new Error("two");
        return number;
      }, signal);
    const results = await Promise.allSettled([1, 2, 3, 4].map(work));
    expect(order).toEqual([1, 2, 3, 4]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
  });

  test("who is aborted while it waits is told at once, and its work is never begun", async () => {
    const { tpm, device } = setUp();
    const gate = Promise.withResolvers<void>();
    const gone = new AbortController();
    const first = device.use(() => gate.promise, signal);
    let began = false;
    const second = rejection(
      device.use(async () => {
        began = true;
      }, gone.signal),
    );
    const third = device.use(async () => "third", signal);
    gone.abort(new Error("gone"));
    expect(await second).toEqual(new Error("gone"));
    expect(tpm.calls.filter((call) => call.startsWith("open"))).toHaveLength(1);
    gate.resolve();
    await first;
    expect(await third).toBe("third");
    expect(began).toBe(false);
  });

  test("who was aborted before it came is told at once", async () => {
    const { tpm, device } = setUp();
    const error = await rejection(device.use(async () => {}, AbortSignal.abort(new Error("late"))));
    expect(error).toEqual(new Error("late"));
    await turn();
    expect(tpm.calls).toEqual([]);
    expect(await device.use(async () => 1, signal)).toBe(1);
  });

  test("who is aborted during an operation is told at once; the next one waits until the TPM is done", async () => {
    const { tpm, device } = setUp();
    const gate = Promise.withResolvers<void>();
    tpm.before = (call) => (call === "nvRead 1" ? gate.promise : undefined);
    const gone = new AbortController();
    const first = rejection(device.use((handle) => handle.nvRead(1), gone.signal));
    await turn();
    expect(tpm.calls.at(-1)).toBe("nvRead 1");
    gone.abort(new Error("gone"));
    expect(await first).toEqual(new Error("gone"));
    let done = false;
    const second = device.use(async () => {
      done = true;
    }, signal);
    await turn();
    expect([done, tpm.open]).toEqual([false, 1]);
    gate.resolve();
    await second;
    expect(tpm.calls).toEqual([`open ${TCTI} 10000`, "nvRead 1", "close", `open ${TCTI} 10000`, "close"]);
  });

  test("nothing is kept of signals that live on", async () => {
    const { device } = setUp();
    const lasting = new AbortController();
    for (let count = 0; count < 20; count++) await device.use(async () => {}, lasting.signal);
    expect(getEventListeners(lasting.signal, "abort")).toEqual([]);
  });
});

describe("a device that another program holds", () => {
  test("is waited for", async () => {
    const { tpm, clock, device } = setUp();
    tpm.refusesToOpen.push(tpmError("EBUSY"), tpmError("EBUSY"), tpmError("EBUSY"));
    const used = device.use(async () => "used", signal);
    await turn();
    await clock.advance(1_000);
    expect(await used).toBe("used");
    expect(tpm.calls).toHaveLength(5);
  });

  test("is given up at the deadline, with advice", async () => {
    const { tpm, clock, device } = setUp(2_000);
    tpm.refusesToOpen.push(...Array.from({ length: 100 }, () => tpmError("EBUSY")));
    const error = rejection(device.use(async () => {}, signal));
    await turn();
    await clock.advance(2_000);
    expect(await error).toMatchObject({
      code: "UNAVAILABLE",
      message: `TPM at ${TCTI}: another program holds the TPM; use /dev/tpmrm0, which is shared`,
    });
    expect(clock.monotonic()).toBeLessThanOrEqual(2_000);
    expect(tpm.calls.length).toBeLessThan(20);
  });

  test("is not waited for by who was aborted", async () => {
    const { tpm, clock, device } = setUp();
    tpm.refusesToOpen.push(tpmError("EBUSY"));
    const gone = new AbortController();
    const error = rejection(device.use(async () => {}, gone.signal));
    await turn();
    gone.abort(new Error("gone"));
    expect(await error).toEqual(new Error("gone"));
    expect(await device.use(async () => "next", signal)).toBe("next");
    expect(clock.monotonic()).toBe(0);
  });

  test("another failure is not tried again", async () => {
    const { tpm, device } = setUp();
    tpm.refusesToOpen.push(tpmError("ENOENT"));
    expect(await rejection(device.use(async () => {}, signal))).toMatchObject({ code: "FAILED_PRECONDITION" });
    expect(tpm.calls).toHaveLength(1);
  });
});

describe("errors", () => {
  test.each([
    ["ENOENT", undefined, "FAILED_PRECONDITION", "there is no TPM; switch it on in the firmware, or load its driver"],
    ["ENODEV", undefined, "FAILED_PRECONDITION", "there is no TPM"],
    ["EACCES", undefined, "FAILED_PRECONDITION", "add its user to the group that owns the device (tss on Debian)"],
    ["EPERM", undefined, "FAILED_PRECONDITION", "check its unit's DeviceAllow"],
    ["EINVAL", undefined, "FAILED_PRECONDITION", "check tcti"],
    ["EBUSY", undefined, "UNAVAILABLE", "use /dev/tpmrm0"],
    ["ECONNREFUSED", undefined, "UNAVAILABLE", "start swtpm"],
    ["ERR_TPM_LIBRARY", undefined, "FAILED_PRECONDITION", "install Debian's libtss2-esys-3.0.2-0 and libtss2-mu0"],
    ["ERR_TPM_TIMEOUT", undefined, "UNAVAILABLE", "the TPM does not answer; if it is slow, raise timeout"],
    ["ERR_TPM_GONE", undefined, "UNAVAILABLE", "the TPM went away"],
    ["ERR_TPM", 0x100, "FAILED_PRECONDITION", "was not started by the firmware"],
    ["ERR_TPM", 0x101, "FAILED_PRECONDITION", "the TPM is in failure mode; power the machine off and on"],
    ["ERR_TPM", 0x902, "UNAVAILABLE", "no room for another object"],
    ["ERR_TPM", 0x903, "UNAVAILABLE", "no room for another session"],
    ["ERR_TPM", 0x904, "UNAVAILABLE", "no memory left"],
    ["ERR_TPM", 0x921, "UNAVAILABLE", "locked out after wrong passwords; wait, or clear the lockout"],
    ["ERR_TPM", 0x922, "UNAVAILABLE", "the TPM is busy"],
    ["ERR_TPM", 0x98e, "FAILED_PRECONDITION", "the endorsement hierarchy has a password"],
    ["ERR_TPM", 0x9a2, "FAILED_PRECONDITION", "the endorsement hierarchy has a password"],
    ["ERR_TPM", 0x0a2, "FAILED_PRECONDITION", "the endorsement hierarchy has a password"],
    ["ERR_TPM", 0x1df, "INTERNAL", "it refused"],
    ["ERR_TPM", undefined, "INTERNAL", "it refused"],
    // The layer of the library: not the TPM's own code, whatever the number below
    ["ERR_TPM", 0x0007_0101, "INTERNAL", "it refused"],
    ["EIO", undefined, "INTERNAL", "it refused"],
  ] as const)("%s %s is %s: %s", (code, rc, expected, advice) => {
    const cause = tpmError(code, rc);
    const error = explainTpmError(cause, TCTI);
    expect(error).toBeInstanceOf(AgentError);
    expect(error).toMatchObject({ code: expected, cause });
    expect((error as AgentError).message).toContain(`TPM at ${TCTI}: `);
    expect((error as AgentError).message).toContain(advice);
    // What is known of an agent's TPM is nobody else's business.
    expect((error as AgentError).publicMessage).not.toContain("TPM");
  });

  test("a socket of swtpm that is not there may come back; a device may not", () => {
    const gone = tpmError("ENOENT");
    expect(explainTpmError(gone, "swtpm:path=/run/tpm.sock")).toMatchObject({ code: "UNAVAILABLE", cause: gone });
    expect(explainTpmError(gone, "device:/dev/tpm0")).toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  test("what is no TPM's error is passed on", () => {
    for (const error of [new Error("x"), new AgentError("MALFORMED", "x"), new TypeError("x"), "x", undefined]) {
      expect(explainTpmError(error, TCTI)).toBe(error);
    }
    const abort = new DOMException("gone", "AbortError");
    expect(explainTpmError(abort, TCTI)).toBe(abort);
  });

  test("a TPM's own response code is told from the library's", () => {
    expect(responseOf(tpmError("ERR_TPM", 0x2c4))).toBe(0x2c4);
    expect(responseOf(tpmError("ERR_TPM", 0x0007_0001))).toBeUndefined();
    expect(responseOf(tpmError("ENOENT"))).toBeUndefined();
    expect(responseOf(new Error("x"))).toBeUndefined();
  });

  test("what a TPM lacks is told from what it refuses", () => {
    // Of the first or second parameter: curve, scheme, value, hash, symmetric algorithm, attributes
    for (const rc of [0x2e6, 0x2c4, 0x2c3, 0x2d6, 0x2c2, 0x2ca, 0x084]) {
      expect(isUnsupported(tpmError("ERR_TPM", rc))).toBe(true);
    }
    for (const rc of [0x101, 0x121, 0x902, 0x921, 0x98e, 0x9a2, 0x1df, 0x18b, undefined]) {
      expect(isUnsupported(tpmError("ERR_TPM", rc))).toBe(false);
    }
    expect(isUnsupported(new Error("x"))).toBe(false);
  });
});
