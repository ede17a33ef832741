/** How `status` shows an agent: pure, for a terminal or a pipe. */
import { type GetStatusResponse, GetStatusResponse_ServerLink as Link } from "../../gen/holdfast/agent/v1/status.ts";
import { visible } from "../../lib/visible.ts";
import { idText } from "../wire.ts";
import { lengthText } from "./doctor/words.ts";

/** What it is shown on. */
export interface StatusView {
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** Whether escape sequences colour what needs attention. */
  readonly colour: boolean;
}

type Colour = "red" | "yellow" | "green";
type Identity = GetStatusResponse["identities"][number];

const SEQUENCE: Readonly<Record<Colour, string>> = { red: "31", yellow: "33", green: "32" };
const BAR_CELLS = 10;
const LABEL_WIDTH = 12;

const LINKS: Readonly<Record<number, { readonly text: string; readonly colour: Colour }>> = {
  [Link.SERVER_LINK_PUSHED]: { text: "reached; it tells of changes", colour: "green" },
  [Link.SERVER_LINK_POLLING]: { text: "reached; it is polled for changes", colour: "green" },
  [Link.SERVER_LINK_DOWN]: { text: "cannot be reached", colour: "red" },
};

const STORAGE: Readonly<Record<string, { readonly text: string; readonly colour: Colour }>> = {
  tpm: { text: "sealed by the TPM", colour: "green" },
  credential: { text: "sealed by a systemd credential", colour: "green" },
  file: { text: "unprotected: the key lies beside it", colour: "yellow" },
  memory: { text: "none: a restart needs the server", colour: "yellow" },
};

/** The whole page. */
export function statusText(status: GetStatusResponse, view: StatusView): string {
  const paint = (text: string, colour: Colour): string =>
    view.colour ? `\u001b[${SEQUENCE[colour]}m${text}\u001b[0m` : text;
  const line = (label: string, text: string): string => `${`${label}:`.padEnd(LABEL_WIDTH)}${text}\n`;
  const link = LINKS[status.serverLink] ?? { text: "unknown", colour: "yellow" };
  const storage = STORAGE[status.storage] ?? { text: visible(status.storage) || "unknown", colour: "yellow" };
  const problems = status.problems.map(({ topic, text }) =>
    line("Problem", paint(`${visible(topic)}: ${visible(text)}`, "yellow")),
  );
  return [
    line(
      "Agent",
      `${agentText(status)}, version ${visible(status.version)}, up for ${lengthText(Number(status.uptime) * 1000)}`,
    ),
    line("Serving", status.serving ? paint("yes", "green") : paint("no", "red")),
    line("Server", paint(link.text, link.colour)),
    line("Last sync", status.lastSyncAt === 0n ? "never" : `${lengthText(view.now - ms(status.lastSyncAt))} ago`),
    line("Agent SVID", lifeText(status.agentSvid, view, paint)),
    line("Cover", coverText(status, view, paint)),
    line("Storage", paint(storage.text, storage.colour)),
    ...problems,
    ...identitiesText(status, view, paint),
  ].join("");
}

type Paint = (text: string, colour: Colour) => string;

function agentText({ agentSvid, trustDomain }: GetStatusResponse): string {
  return agentSvid === undefined ? `of ${visible(trustDomain)}, not attested` : visible(idText(agentSvid.id));
}

/** How long the server may be away from now on without an SVID expiring. */
function coverText(status: GetStatusResponse, { now }: StatusView, paint: Paint): string {
  const ends = status.identities.map(({ expiresAt }) => expiresAt).filter((end) => end !== 0n);
  if (ends.length === 0) return "no SVID is held";
  const left = Math.max(0, Math.min(...ends.map(ms)) - now);
  const budget = Number(status.outageBudget) * 1000;
  const text = `${lengthText(left)} without the server`;
  if (budget === 0) return text;
  return left >= budget
    ? paint(`${text}, outage_budget is ${lengthText(budget)}`, "green")
    : paint(`${text}, less than outage_budget (${lengthText(budget)})`, "yellow");
}

function identitiesText(status: GetStatusResponse, view: StatusView, paint: Paint): string[] {
  const rows = status.identities.map((identity) => {
    const renewal = identity.renewsAt === 0n ? "" : `, renewed ${untilText(ms(identity.renewsAt), view.now)}`;
    const failed = identity.failed ? paint(", the last attempt failed", "red") : "";
    return `  ${lifeText(identity, view, paint)}${renewal}${failed}  ${visible(idText(identity.id))}\n`;
  });
  const more = Number(status.identitiesCount) - rows.length;
  return [
    `Identities: ${status.identitiesCount}\n`,
    ...rows,
    ...(more > 0 ? [`  and ${more} more that live longer\n`] : []),
  ];
}

/** A bar of the life that is left, and its length. */
function lifeText(
  svid: Pick<Identity, "issuedAt" | "expiresAt"> | undefined,
  { now }: StatusView,
  paint: Paint,
): string {
  if (svid === undefined || svid.expiresAt === 0n) return paint(`${bar(0)} none yet`, "yellow");
  const end = ms(svid.expiresAt);
  const share = Math.min(1, Math.max(0, (end - now) / (end - ms(svid.issuedAt))));
  const colour = share === 0 ? "red" : share < 0.4 ? "yellow" : "green";
  return paint(`${bar(share)} ${end <= now ? "expired" : `${lengthText(end - now)} left`}`, colour);
}

/** Full cells for what is left; plain characters, for pipes and for terminals without others. */
function bar(share: number): string {
  const full = Math.ceil(share * BAR_CELLS);
  return `[${"#".repeat(full)}${".".repeat(BAR_CELLS - full)}]`;
}

function untilText(at: number, now: number): string {
  return at <= now ? "now" : `in ${lengthText(at - now)}`;
}

function ms(unixSeconds: bigint): number {
  return Number(unixSeconds) * 1000;
}
