/** What can be changed of a good chain: faults, after which it must be refused, and twists, after which it is still good. */
import type { CertPlan, ChainPlan } from "./plan.ts";

/** A change of a chain. */
export interface Variation {
  readonly name: string;
  /** What it changes; of one group a chain gets one, so that none undoes another. */
  readonly group: string;
  /** The checks that may object; none: the chain is still good. */
  readonly checks: readonly string[];
  /** Only the rules of X509-SVIDs object, the path is good. */
  readonly isLeafRule?: boolean;
  /** False when it does not fit that chain, which is then unchanged. */
  readonly apply: (plan: ChainPlan) => boolean;
}

/** A change of one certificate; false when it does not fit. */
export type Edit = (cert: CertPlan, plan: ChainPlan) => boolean;

/** Sets fields. */
export function change(fields: (cert: CertPlan, plan: ChainPlan) => Partial<CertPlan>): Edit {
  return (cert, plan) => {
    Object.assign(cert, fields(cert, plan));
    return true;
  };
}

/** Any certificate of the path. */
export function onAny(edit: Edit): Variation["apply"] {
  return (plan) => edit(plan.choices.pick(plan.path), plan);
}

/** A CA, the anchor among them. */
export function onCa(edit: Edit): Variation["apply"] {
  return (plan) => edit(plan.choices.pick(plan.path.slice(1)), plan);
}

/** A certificate that is presented: all but the anchor. */
export function onPresented(edit: Edit): Variation["apply"] {
  return (plan) => edit(plan.choices.pick(plan.path.slice(0, -1)), plan);
}

/** A CA between leaf and anchor, if there is one. */
export function onMiddle(edit: Edit): Variation["apply"] {
  return (plan) => {
    const middle = plan.path.slice(1, -1);
    return middle.length > 0 && edit(plan.choices.pick(middle), plan);
  };
}

export function onLeaf(edit: Edit): Variation["apply"] {
  return (plan) => edit(plan.path[0]!, plan);
}

/** The certificate above one of the path. */
export function issuerOf(cert: CertPlan, plan: ChainPlan): CertPlan {
  return plan.path[plan.path.indexOf(cert) + 1] ?? cert;
}

export function fault(
  group: string,
  name: string,
  checks: string | readonly string[],
  apply: Variation["apply"],
): Variation {
  return { group, name, checks: typeof checks === "string" ? [checks] : checks, apply };
}

export function twist(group: string, name: string, apply: Variation["apply"]): Variation {
  return { group, name, checks: [], apply };
}
