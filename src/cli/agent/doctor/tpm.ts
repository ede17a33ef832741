/** Checks `tpm` and `tpm_pcrs`: whether the TPM answers and is in order, and what the machine's boot left in its PCRs. */
import { fail, ok, type Verdict, warn } from "./check.ts";
import type { TpmAnswers, TpmFailure, TpmProperties } from "./tpm-questions.ts";

/** TPM_PT (TPM 2.0 Part 2, 6.13). */
const MANUFACTURER = 0x105;
const VENDOR_STRINGS = [0x106, 0x107, 0x108, 0x109];
const FIRMWARE = [0x10b, 0x10c] as const;
const PERMANENT = 0x200;
const STARTUP_CLEAR = 0x201;
const LOCKOUT_COUNTER = 0x20e;
const MAX_AUTH_FAIL = 0x20f;
const LOCKOUT_INTERVAL = 0x210;
/** Bits of TPMA_PERMANENT and TPMA_STARTUP_CLEAR (Part 2, 8.6 and 8.7). */
const ENDORSEMENT_AUTH_SET = 1 << 1;
const IN_LOCKOUT = 1 << 9;
const EH_ENABLE = 1 << 2;

/** Names of makers by their identifiers (TCG Vendor ID Registry). */
const VENDORS: Readonly<Record<string, string>> = {
  AMD: "AMD",
  ATML: "Atmel",
  BRCM: "Broadcom",
  CSCO: "Cisco",
  GOOG: "Google",
  HISI: "HiSilicon",
  IBM: "IBM",
  IFX: "Infineon",
  INTC: "Intel",
  LEN: "Lenovo",
  MSFT: "Microsoft",
  NSG: "NSING",
  NTC: "Nuvoton",
  NTZ: "Nationz",
  QCOM: "Qualcomm",
  ROCC: "Rockchip",
  SMSC: "SMSC",
  SMSN: "Samsung",
  SNS: "Sinosun",
  STM: "STMicroelectronics",
  TXN: "Texas Instruments",
  WEC: "Winbond",
};

/** The maker's name for an identifier such as `IFX`, else the identifier. */
export function vendorName(identifier: string): string {
  return VENDORS[identifier] ?? identifier;
}

/** Decides on the TPM itself. */
export function judgeTpm(answers: TpmAnswers | TpmFailure): Verdict {
  if ("found" in answers) return fail(answers.found, answers.advice);
  const { properties } = answers;
  const about = describe(properties);
  const details = {
    manufacturer: about.manufacturer,
    vendor_string: about.vendorString,
    firmware: about.firmware,
  };
  const found = `${vendorName(about.manufacturer)} ${about.vendorString}, firmware ${about.firmware}`.replace(
    / +/g,
    " ",
  );
  return { ...judgeState(properties, found), details };
}

function judgeState(properties: TpmProperties, found: string): Verdict {
  const permanent = properties.get(PERMANENT) ?? 0;
  const startup = properties.get(STARTUP_CLEAR) ?? EH_ENABLE;
  if ((startup & EH_ENABLE) === 0) {
    return fail(`${found}; its endorsement hierarchy is switched off`, "switch it on in the firmware, and boot anew");
  }
  if ((permanent & ENDORSEMENT_AUTH_SET) !== 0) {
    return fail(
      `${found}; its endorsement hierarchy has a password`,
      "clear it (tpm2_changeauth -c endorsement -p OLD), for Holdfast cannot give one",
    );
  }
  if ((permanent & IN_LOCKOUT) !== 0) {
    const counts = `${properties.get(LOCKOUT_COUNTER) ?? "?"} of ${properties.get(MAX_AUTH_FAIL) ?? "?"}`;
    const interval = properties.get(LOCKOUT_INTERVAL) ?? 0;
    return warn(
      `${found}; it is locked out after ${counts} wrong passwords`,
      `wait (it forgets one every ${interval} s), or clear it: tpm2_dictionarylockout --clear-lockout`,
    );
  }
  return ok(found);
}

/** Decides on banks and values. */
export function judgePcrs({ banks, pcrs }: TpmAnswers): Verdict {
  if (pcrs === undefined) {
    return fail("no PCR bank that Holdfast knows", "allocate one: tpm2_pcrallocate sha256:all, and boot anew");
  }
  const all = `${banks.length === 1 ? "bank" : "banks"} ${banks.join(", ")}`;
  const details = { banks, pcrs: { [pcrs.bank]: pcrs.values } };
  if (!banks.includes("sha256")) {
    const advice = `allocate one (tpm2_pcrallocate sha256:all, and boot anew), or set pcr_bank = "${banks[0]}" on the server`;
    return { ...warn(`${all}: there is none of sha256, which the server asks for`, advice), details };
  }
  if (Object.values(pcrs.values).every((value) => /^0*$/.test(value))) {
    return {
      ...warn(
        `${all}: PCRs 0 to 7 are all zero, so nothing was measured at boot`,
        "usual for a software TPM; on hardware switch measured boot on in the firmware. A pcr_policy would prove nothing",
      ),
      details,
    };
  }
  return { ...ok(`${all}: PCRs 0 to 7 hold what was booted (-output json shows them)`), details };
}

function describe(properties: TpmProperties): { manufacturer: string; vendorString: string; firmware: string } {
  const [high, low] = FIRMWARE.map((property) => properties.get(property) ?? 0) as [number, number];
  const parts = [high >>> 16, high & 0xffff, low >>> 16, low & 0xffff];
  return {
    manufacturer: textOf(properties.get(MANUFACTURER) ?? 0),
    vendorString: VENDOR_STRINGS.map((property) => textOf(properties.get(property) ?? 0))
      .join("")
      .trim(),
    firmware: parts.join("."),
  };
}

/** Four characters; makers pad with zeros and spaces. */
export function textOf(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes
    .toString("latin1")
    .replace(/[^\x20-\x7e]/g, "")
    .trimEnd();
}
