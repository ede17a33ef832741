/** Durations as Go and SPIRE write them: `1h30m`, `300ms`, `168h`. */

/** Milliseconds of each unit. */
const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

const PART = /([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)/y;
/** Go's durations end here: 2^63-1 nanoseconds, some 292 years. */
const LONGEST_MS = 2 ** 63 / 1e6;

/** Milliseconds, maybe with a fraction; `undefined` for what Go's `time.ParseDuration` refuses. */
export function parseDuration(text: string): number | undefined {
  const sign = text.startsWith("-") ? -1 : 1;
  const body = /^[-+]/.test(text) ? text.slice(1) : text;
  if (body === "0") return 0;
  let total = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < body.length) {
    const part = PART.exec(body);
    if (part === null) return undefined;
    total += Number(part[1]) * (UNITS[part[2] as string] as number);
  }
  return body === "" || total >= LONGEST_MS ? undefined : sign * total;
}

/** The shortest spelling in hours, minutes, seconds and milliseconds: `168h`, `1h30m`, `300ms`. */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`;
  const whole = Math.round(ms);
  const parts: string[] = [];
  let left = whole;
  for (const unit of ["h", "m", "s", "ms"]) {
    const size = UNITS[unit] as number;
    const count = Math.floor(left / size);
    if (count > 0) parts.push(`${count}${unit}`);
    left -= count * size;
  }
  return parts.length === 0 ? "0s" : parts.join("");
}
