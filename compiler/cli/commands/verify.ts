import type { Command } from "commander";
import { jsonOption, loaded } from "../options.js";

/** Adds `gsic verify` and `gsic sign`. */
export function addVerify(gsic: Command): void {
  gsic
    .command("verify <build>")
    .description(
      "compare a build with the SHA-256 sums that were recorded when it was made; nothing of it is run",
    )
    .option("--key <file>", "also check that it was signed with this key: a public Ed25519 key in PEM")
    .addOption(jsonOption())
    .addHelpText("after", "\nExample: gsic verify build/tiny-gpt2 --key key.pub.pem")
    .action(loaded(async () => (await import("../actions/verify.js")).verify));
  gsic
    .command("sign <build>")
    .description("sign the record of a build, once it was verified")
    .requiredOption("--key <file>", "a private Ed25519 key in PEM")
    .addHelpText(
      "after",
      "\nExample: openssl genpkey -algorithm ed25519 -out key.pem && gsic sign build/tiny-gpt2 --key key.pem",
    )
    .action(loaded(async () => (await import("../actions/verify.js")).sign));
}
