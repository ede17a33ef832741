/** What `holdfast.node` exports. The declarations, and what each does and throws, are in `src/lib/native.ts`. */
import type { NativeAddon } from "../src/lib/native.ts";

export type * from "../src/lib/native.ts";
export type * from "../src/lib/native-tpm.ts";

declare const addon: NativeAddon;
export default addon;
