/** The reference's numbers in test/fixtures; its README says what they are. */
import { fileURLToPath } from "node:url"
import { openDirectory } from "../../bench/parity/Directory.ts"

export type { Fixture } from "../../bench/parity/Directory.ts"

/** test/fixtures. */
export const directory = openDirectory(fileURLToPath(new URL("../fixtures", import.meta.url)))

export const { casesWith, fixture, fixtureCase } = directory
