/** Checks `tpm_library` and `tpm_device`: whether there is a TPM at all, and whether this user may use it. */
import { accessSync, constants, statSync } from "node:fs";
import { fail, ok, skip, type Verdict, warn } from "./check.ts";
import { errnoOf, groupText, modeText, userText } from "./words.ts";

/** A device file, or whatever else `tcti` names. */
export interface DeviceFacts {
  readonly tcti: string;
  /** Whose agent it is. */
  readonly uid: number;
  /** Absent for a TPM that is reached by other means than a device file. */
  readonly file?: DeviceFile;
}

/** What is at the path. */
export interface DeviceFile {
  readonly path: string;
  readonly state:
    | { readonly kind: "device"; readonly uid: number; readonly gid: number; readonly mode: number }
    | { readonly kind: "missing"; readonly isDefault: boolean }
    | { readonly kind: "not-a-device" }
    | { readonly kind: "hidden"; readonly errno: string };
  /** Why this user may not open it, as an errno name. */
  readonly refused: string | undefined;
}

const SWITCH_ON =
  "switch the TPM on in the firmware (UEFI: TPM 2.0, PTT, fTPM) and load its driver (tpm_tis, tpm_crb); give a virtual machine a vTPM, a container the device";

/** Looks at what `tcti` names; opens nothing. */
export function deviceFacts(tcti: string, uid: number, isDefault: boolean): DeviceFacts {
  const path = /^device:(.+)$/.exec(tcti)?.[1];
  if (path === undefined) return { tcti, uid };
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined)
      return { tcti, uid, file: { path, state: { kind: "missing", isDefault }, refused: "ENOENT" } };
    const state = stats.isCharacterDevice()
      ? ({ kind: "device", uid: stats.uid, gid: stats.gid, mode: stats.mode } as const)
      : ({ kind: "not-a-device" } as const);
    return { tcti, uid, file: { path, state, refused: openRefused(path) } };
  } catch (error) {
    const errno = errnoOf(error);
    return { tcti, uid, file: { path, state: { kind: "hidden", errno }, refused: errno } };
  }
}

function openRefused(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return errnoOf(error);
  }
}

/** Decides on libtss2: what keeps it from being used, in words; `null` when nothing does. */
export function judgeLibrary(unavailable: string | null): Verdict {
  if (unavailable === null) return ok("libtss2 is there");
  return fail(unavailable, "apt-get install libtss2-esys-3.0.2-0 libtss2-mu0, or what your system calls them");
}

/** Decides on the device file. */
export function judgeDevice({ tcti, uid, file }: DeviceFacts): Verdict {
  if (file === undefined) return skip(`${tcti} is no device file`);
  const { path, state, refused } = file;
  switch (state.kind) {
    case "missing":
      return fail(
        state.isDefault ? `there is neither /dev/tpmrm0 nor /dev/tpm0` : `there is no ${path}, which tcti names`,
        state.isDefault ? SWITCH_ON : "correct tcti, or leave it out to take the first TPM",
      );
    case "not-a-device":
      return fail(`${path} is no device`, "correct tcti, or leave it out to take the first TPM");
    case "hidden":
      return fail(`${path} cannot be looked at: ${state.errno}`, `let ${userText(uid)} enter the folders above it`);
    case "device":
      break;
  }
  const group = groupText(state.gid);
  const owned = `${path} belongs to ${userText(state.uid)} and group ${group}, mode ${modeText(state.mode)}`;
  if (refused === undefined) {
    if (!path.startsWith("/dev/tpm") || path.startsWith("/dev/tpmrm")) return ok(owned);
    return warn(owned, "it has no resource manager, so one program at a time can use it: /dev/tpmrm0 is shared");
  }
  if (refused === "EACCES" && (state.mode & 0o060) === 0o060 && state.gid !== 0) {
    return fail(
      `${owned}; ${userText(uid)} may not open it`,
      `add the agent's user to group ${group} (usermod -aG, or SupplementaryGroups= in the unit), and start the agent anew`,
    );
  }
  if (refused === "EACCES") {
    return fail(
      `${owned}; ${userText(uid)} may not open it`,
      `give it a group with a udev rule: KERNEL=="tpmrm[0-9]*", GROUP="tss", MODE="0660", and add the agent's user to it`,
    );
  }
  return fail(`${owned}; it cannot be opened: ${refused}`, "check the unit's DeviceAllow= and PrivateDevices=");
}
