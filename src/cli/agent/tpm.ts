/** Makes the agent's `tpm` attestor: finds the device, and where the choice of the endorsement key is remembered. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { AgentNodeAttestor } from "../../attestors/node.ts";
import { TpmAgentAttestor } from "../../attestors/tpm/agent.ts";
import type { TpmAgentConfig } from "../../attestors/tpm/config.ts";
import { decodeEkChoice, type EkChoiceStore, encodeEkChoice } from "../../attestors/tpm/device/ek-choice.ts";
import { TpmDevice } from "../../attestors/tpm/device/tpm-device.ts";
import { writeFileAtomic } from "../../lib/atomic-file.ts";
import { errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { NodeAttestorDeps } from "./node-attestor-deps.ts";

/** With resource manager first: it shares the TPM among programs. */
const DEVICES = ["/dev/tpmrm0", "/dev/tpm0"] as const;
const CHOICE_FILE = "tpm-ek.json";

/** The attestor with its device. */
export function makeTpmAttestor(options: TpmAgentConfig, deps: NodeAttestorDeps): AgentNodeAttestor {
  const log = deps.log.named("tpm");
  const device = openerOf(options, deps);
  return new TpmAgentAttestor({ log, device, choice: choiceIn(deps.config.dataDir, log) }, options);
}

/** The device that the options name. */
export function openerOf(options: TpmAgentConfig, deps: Pick<NodeAttestorDeps, "clock" | "native">): TpmDevice {
  const tcti = options.tcti ?? defaultTcti();
  return new TpmDevice({ clock: deps.clock, opener: deps.native, tcti, timeoutMs: options.timeoutMs });
}

/** The node's TPM, whether there is one or not. */
export function defaultTcti(): string {
  return `device:${DEVICES.find((path) => existsSync(path)) ?? DEVICES[0]}`;
}

/** Remembers the endorsement key in a file of the data folder. */
export function choiceIn(dataDir: string, log: Logger): EkChoiceStore {
  const path = join(dataDir, CHOICE_FILE);
  return {
    load: async () => {
      try {
        return decodeEkChoice(await readFile(path, "utf8"));
      } catch (error) {
        if ((error as { code?: unknown }).code === "ENOENT") return undefined;
        // It can be found anew; only a certificate that came or went meanwhile would make a difference.
        log.warn("The choice of the endorsement key could not be read; it is made anew", {
          path,
          error: errorText(error),
        });
        return undefined;
      }
    },
    save: (choice) => writeFileAtomic(path, Buffer.from(encodeEkChoice(choice)), 0o600),
  };
}
