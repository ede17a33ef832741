/** Name constraints (RFC 5280 4.2.1.10, 6.1.3 b and c): which names the CAs of a path allow below them. */
import type { Certificate } from "./certificate.ts";
import type { NameConstraints } from "./extensions.ts";
import type { GeneralName } from "./general-names.ts";
import { isEmptyName, isSelfIssued, relativeNames } from "./name.ts";
import { matchName } from "./name-matching.ts";
import { Oid } from "./oid.ts";
import { about, must, refuse } from "./validate-checks.ts";

/** How many comparisons of a name with a subtree are left; counted down. */
export interface ComparisonBudget {
  comparisons: number;
}

/** Checks all names of a path (leaf first, anchor last) against the constraints above them, within the budget. Throws `UNTRUSTED`. */
export function checkNameConstraints(path: readonly Certificate[], budget: ComparisonBudget): void {
  for (const [height, ca] of path.entries()) {
    if (ca.nameConstraints === undefined) continue;
    for (const [index, certificate] of path.slice(0, height).entries()) {
      // 6.1.3 (b): self-issued intermediates are exempt, the leaf never
      if (index > 0 && isSelfIssued(certificate)) continue;
      for (const name of namesOf(certificate)) checkName(name, ca.nameConstraints, certificate, budget);
    }
  }
}

/** One name against one CA's subtrees: within one permitted subtree of its kind, if there are any, and no excluded one. */
function checkName(
  name: GeneralName,
  { permitted, excluded }: NameConstraints,
  certificate: Certificate,
  budget: ComparisonBudget,
): void {
  const matches = (subtree: GeneralName, use: "permitted" | "excluded"): boolean => {
    must("limits", --budget.comparisons >= 0, () => "too many comparisons of names with constraints");
    const match = matchName(name, subtree, use);
    if (match === undefined)
      throw refuse("name-constraints", about(certificate, `has a ${name.type} name that cannot be judged`));
    return match;
  };
  // 6.1.3 (b)
  const wanted = permitted.filter((subtree) => isSameKind(subtree, name));
  const isPermitted = wanted.length === 0 || wanted.some((subtree) => matches(subtree, "permitted"));
  must("name-constraints", isPermitted, () => about(certificate, `has a ${name.type} name that is not permitted`));
  // 6.1.3 (c)
  const isExcluded = excluded.some((subtree) => isSameKind(subtree, name) && matches(subtree, "excluded"));
  must("name-constraints", !isExcluded, () => about(certificate, `has a ${name.type} name that is excluded`));
}

/** The names that constraints apply to: the subject unless empty, its e-mail addresses, and the alternative names. */
function namesOf({ subject, sans }: Certificate): readonly GeneralName[] {
  if (isEmptyName(subject)) return sans;
  const emails = relativeNames(subject.der)
    .flat()
    .filter(({ type }) => type === Oid.emailAddress)
    .map(({ text }): GeneralName => ({ type: "email", value: text ?? "" }));
  return [{ type: "directory", value: subject }, ...emails, ...sans];
}

function isSameKind(a: GeneralName, b: GeneralName): boolean {
  return a.type === "other" && b.type === "other" ? a.tag === b.tag : a.type === b.type;
}
