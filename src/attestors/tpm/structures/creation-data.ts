/** TPMS_CREATION_DATA: under which circumstances a key was made (TPM 2.0 Part 2, 15.1). */
import { readSelection } from "./pcr-selection.ts";
import { readWhole } from "./reader.ts";

const MAX_DIGEST = 64;
const MAX_NAME = 66;
const MAX_OUTSIDE_INFO = 66;

/** Checks that creation data is well formed; what it says is not used. Throws `MALFORMED`. */
export function checkCreationData(bytes: Uint8Array): void {
  readWhole("TPMS_CREATION_DATA", bytes, (reader) => {
    readSelection(reader);
    reader.sized(MAX_DIGEST); // pcrDigest
    reader.u8(); // locality
    reader.u16(); // parentNameAlg
    reader.sized(MAX_NAME); // parentName
    reader.sized(MAX_NAME); // parentQualifiedName
    reader.sized(MAX_OUTSIDE_INFO);
  });
}
