/** What a row of the bench is made of. */
import type { Subject } from "./subject.ts";

/** What a measure's value must reach: of its own, or against SPIRE's in the same run. */
export interface Target {
  readonly of: "value" | "ratio";
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** One number of a scenario. */
export interface Measure {
  readonly key: string;
  readonly label: string;
  /** `µs`, `ms`, `s`, `/s`, `KB`, `MB`, or empty. */
  readonly unit: string;
  readonly target?: Target;
}

/** A cost that is measured at several sizes of what causes it. */
export interface Growth {
  readonly label: string;
  /** The measures that are its points, by growing size. */
  readonly points: readonly { readonly size: number; readonly key: string }[];
  /** The least that can be told from nothing, in the measures' unit: lower costs count as this. */
  readonly floor: number;
}

/** The numbers of one round, by the measures' keys. */
export type Values = Readonly<Record<string, number>>;

/** What a scenario is told. */
export interface Context {
  /** Small counts: shows that everything runs, not how fast. */
  readonly quick: boolean;
  /** Seconds that the server stays away in the outage row. */
  readonly outageSeconds: number;
  /** Streams that the open-file limit allows. */
  readonly streams: number;
  /** A folder of this scenario and subject. */
  readonly folder: string;
  /** A remark that stands below the row. */
  note(text: string): void;
}

/** A scenario set up for one program pair. */
export interface Prepared extends AsyncDisposable {
  /** Measures once. */
  round(): Promise<Values>;
}

/** A row of the table, or several that share a set-up. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly measures: readonly Measure[];
  /** Costs that must not grow faster than their causes. */
  readonly growth?: readonly Growth[];
  /** Rounds, where setting up or waiting is so long that the default would be too many. */
  readonly rounds?: number;
  /** Whether one round is thrown away first, for programs that get faster as they run. */
  readonly warm?: boolean;
  /** `undefined` where the subject cannot be measured; a note says why. */
  prepare(subject: Subject, context: Context): Promise<Prepared | undefined>;
}

/** What the rows of durable writes must say. */
export function noteDurability(subject: Subject, context: Context): void {
  context.note(
    subject.name === "spire"
      ? "SQLite with synchronous=NORMAL: a commit does not wait for the disk"
      : "SQLite with synchronous=FULL: a commit is on the disk before it is acknowledged",
  );
}

/** Ratio to SPIRE: at most. */
export function ratioAtMost(atMost: number): Target {
  return { of: "ratio", atMost };
}

/** Ratio to SPIRE: at least. */
export function ratioAtLeast(atLeast: number): Target {
  return { of: "ratio", atLeast };
}

/** A value of its own: at most. */
export function atMost(most: number): Target {
  return { of: "value", atMost: most };
}
