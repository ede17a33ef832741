/**
 * The numbers under which docs/spiffe-conformance.md and the tests name the rules of the SPIFFE standards (revision of
 * 2026-07-01): how strict each is, and whom it binds. What a rule says is in the standard; the page says what we do.
 */

/** A rule of a standard. */
export interface Rule {
  /** `MUST`, `SHOULD NOT` and so on; a rule of two parts has two, and a remark has a dash. */
  readonly level: string;
  /** Letters of {@link BINDS}. */
  readonly binds: string;
}

/** Whom rules bind. */
export const BINDS = {
  I: "who issues SVIDs",
  A: "the agent, which serves the Workload API",
  V: "who validates SVIDs",
  P: "who publishes a bundle",
  F: "who takes the bundle of another trust domain",
  C: "clients of the Workload API",
  B: "brokers",
} as const;

/** Standard, level, whom it binds, and the numbers of the rules that have these in common. */
const TABLE: readonly (readonly [standard: string, level: string, binds: string, numbers: string])[] = [
  ["ID", "MUST", "IV", "01 02 04 05 06 12 20"],
  ["ID", "MUST NOT", "IV", "03 07 09 10 11"],
  ["ID", "MUST NOT", "IAV", "08"],
  ["ID", "MAY", "I", "13"],
  ["ID", "MUST", "IAV", "14"],
  ["ID", "SHOULD NOT", "I", "15"],
  ["ID", "—", "V", "16"],
  ["ID", "MUST", "I", "17 19"],
  ["ID", "SHOULD", "I", "18"],
  ["X509", "MUST", "I", "01 04 05 11 14 15 16 19"],
  ["X509", "MUST", "V", "02 21 22 23"],
  ["X509", "MAY", "I", "03 09 12 13 20"],
  ["X509", "SHOULD", "I", "06 08 18"],
  ["X509", "MUST NOT", "I", "07 17"],
  ["X509", "MUST NOT", "CV", "10"],
  ["X509", "MUST", "P", "24 26"],
  ["X509", "MUST NOT", "P", "25"],
  ["X509", "MUST", "FV", "27 28"],
  ["X509", "—", "V", "29"],
  ["JWT", "MUST", "IV", "01 06 11"],
  ["JWT", "MUST NOT", "I", "02"],
  ["JWT", "MUST", "I", "03 07 08"],
  ["JWT", "MUST", "V", "04 09 12"],
  ["JWT", "MAY", "I", "05 17"],
  ["JWT", "SHOULD", "I", "10"],
  ["JWT", "SHOULD", "C", "13"],
  ["JWT", "MUST", "P", "14"],
  ["JWT", "MUST", "VF", "15"],
  ["JWT", "MAY", "IV", "16"],
  ["WIT", "MUST", "I", "01 07"],
  ["WIT", "MUST", "IV", "02 03 04 08 09 12"],
  ["WIT", "SHOULD NOT", "I", "05"],
  ["WIT", "SHOULD", "V", "06 18"],
  ["WIT", "MAY", "I", "10"],
  ["WIT", "MUST NOT", "V", "11 19"],
  ["WIT", "MAY / MUST", "IV", "13"],
  ["WIT", "MAY", "V", "14 25"],
  ["WIT", "MAY / MUST NOT", "IV", "15"],
  ["WIT", "MAY / SHOULD NOT", "I", "16"],
  ["WIT", "MUST NOT", "I", "17"],
  ["WIT", "MUST NOT", "C", "20"],
  ["WIT", "SHOULD", "CV", "21"],
  ["WIT", "MUST", "P", "22"],
  ["WIT", "MUST", "VF", "23"],
  ["WIT", "MUST", "CV", "24"],
  ["WIT", "MUST", "C", "26"],
  ["BDL", "MUST", "VF", "01"],
  ["BDL", "MUST", "P", "02 07 08 14"],
  ["BDL", "MAY / MUST NOT", "PF", "03"],
  ["BDL", "SHOULD", "P", "04 06"],
  ["BDL", "MUST", "PF", "05 12 13 15"],
  ["BDL", "MUST", "FV", "09"],
  ["BDL", "MUST", "V", "10"],
  ["BDL", "SHOULD NOT", "P", "11"],
  ["BDL", "SHOULD / MUST NOT", "PF", "16"],
  ["BDL", "—", "F", "17"],
  ["BDL", "—", "I", "18"],
  ["FED", "MUST", "P", "01 08 15 22"],
  ["FED", "SHOULD", "P", "02"],
  ["FED", "SHOULD", "F", "03 04 18 25"],
  ["FED", "MAY", "F", "05"],
  ["FED", "MUST NOT", "FA", "06"],
  ["FED", "MUST", "FP", "07 11"],
  ["FED", "MUST", "F", "09 17 19 20 21 23 24"],
  ["FED", "MUST", "A", "10"],
  ["FED", "MUST NOT", "F", "12"],
  ["FED", "SHOULD / MUST", "P", "13"],
  ["FED", "MUST NOT", "P", "14"],
  ["FED", "MAY / MUST", "P", "16"],
  ["FED", "—", "FA", "26"],
  ["EP", "SHOULD", "A", "01 03 12"],
  ["EP", "MUST", "AC", "02"],
  ["EP", "MUST", "C", "04 07 08 10"],
  ["EP", "MUST", "A", "05 16"],
  ["EP", "MUST NOT", "A", "06 11 17"],
  ["EP", "MUST / MUST NOT", "C", "09"],
  ["EP", "SHOULD NOT", "C", "13"],
  ["EP", "MAY", "AC", "14"],
  ["EP", "SHOULD", "AC", "15 18"],
  ["EP", "—", "AC", "19"],
  ["API", "MUST", "A", "01 05 06 14 15 16 20 21 22 24 26 31 32"],
  ["API", "MAY", "AC", "02"],
  ["API", "MUST NOT", "A", "03"],
  ["API", "SHOULD", "C", "04 09 11 17 19 30"],
  ["API", "SHOULD", "A", "07 10 23"],
  ["API", "MUST", "C", "08 13"],
  ["API", "MUST", "VC", "12"],
  ["API", "SHOULD", "AC", "18"],
  ["API", "MUST / MUST NOT", "A", "25"],
  ["API", "SHOULD / MAY", "A", "27"],
  ["API", "MUST", "AC", "28"],
  ["API", "MUST", "V", "29"],
  ["API", "—", "AC", "33"],
  ["API", "SHOULD NOT", "AI", "34"],
  ["BRK", "SHOULD", "A", "01"],
  ["BRK", "MUST", "AB", "02 03 11 17 20"],
  ["BRK", "MUST", "B", "04 05 14"],
  ["BRK", "MUST", "A", "06 08 09 13 18 21"],
  ["BRK", "—", "AB", "07"],
  ["BRK", "MUST NOT", "A", "10"],
  ["BRK", "MUST", "BA", "12 15"],
  ["BRK", "MUST NOT", "B", "16"],
  ["BRK", "SHOULD", "AB", "19"],
];

/** All rules, by number. */
export const RULES: ReadonlyMap<string, Rule> = new Map(
  TABLE.flatMap(([standard, level, binds, numbers]) =>
    numbers.split(" ").map((number) => [`${standard}-${number}`, { level, binds }] as const),
  ),
);

/** The rules that a text names, in order: single ones, and all of a range such as `WIT-02 to WIT-05`. */
export function rulesIn(text: string): readonly string[] {
  return [...text.matchAll(/\b([A-Z][A-Z0-9]*)-(\d\d)(?: to \1-(\d\d))?\b/g)]
    .filter(([, standard = ""]) => STANDARDS.has(standard))
    .flatMap(([, standard = "", from = "", to = from]) => {
      const count = Math.max(0, Number(to) - Number(from)) + 1;
      return Array.from({ length: count }, (_, i) => `${standard}-${String(Number(from) + i).padStart(2, "0")}`);
    });
}

const STANDARDS: ReadonlySet<string> = new Set(TABLE.map(([standard]) => standard));
