/** When an authority is prepared and when it takes over: arithmetic only. Times in milliseconds. */

/** Two places for keys per kind of authority: the current one, and the next or the former one. */
export type SlotId = "A" | "B";

/** What the decisions look at. */
export interface AuthorityLife {
  readonly issuedAt: number;
  readonly notAfter: number;
}

/** What to do now. `prepare` makes and publishes the next authority, `activate` lets it sign. */
export type Step = "prepare" | "activate" | "wait";

const DAY = 24 * 60 * 60 * 1000;
const LONGEST_PREPARED = 30 * DAY;
const LONGEST_OVERLAP = 7 * DAY;
/** What the standard suggests (Federation 4.1), in seconds. */
const USUAL_HINT = 300;
/** How often a peer that keeps to the hint looks before a published authority signs (Federation 4.1: three to five times). */
const LOOKS_AHEAD = 5;

/** The other slot. */
export function otherSlot(slot: SlotId): SlotId {
  return slot === "A" ? "B" : "A";
}

/** From when on there has to be a next authority: half of the lifetime left, 30 days at most. */
export function prepareFrom(life: AuthorityLife): number {
  return life.notAfter - Math.min((life.notAfter - life.issuedAt) / 2, LONGEST_PREPARED);
}

/** From when on the next authority signs: a sixth of the lifetime left, 7 days at most. */
export function activateFrom(life: AuthorityLife): number {
  return life.notAfter - Math.min((life.notAfter - life.issuedAt) / 6, LONGEST_OVERLAP);
}

/**
 * How often to look at a bundle whose authorities live as long as this one, in seconds: `spiffe_refresh_hint` (Trust
 * Domain and Bundle 4.1.2).
 */
export function refreshHint(life: AuthorityLife): number {
  const ahead = (activateFrom(life) - prepareFrom(life)) / 1000;
  return Math.max(1, Math.min(USUAL_HINT, Math.floor(ahead / LOOKS_AHEAD)));
}

/** The step to take now. After each, ask again until it says `wait`. */
export function nextStep(
  slots: { readonly current?: AuthorityLife | undefined; readonly next?: AuthorityLife | undefined },
  now: number,
): Step {
  const current = alive(slots.current, now);
  const next = alive(slots.next, now);
  if (current === undefined || now > activateFrom(current)) return next === undefined ? "prepare" : "activate";
  return next === undefined && now > prepareFrom(current) ? "prepare" : "wait";
}

function alive(life: AuthorityLife | undefined, now: number): AuthorityLife | undefined {
  return life !== undefined && now < life.notAfter ? life : undefined;
}
