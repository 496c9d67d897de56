/** Seeds that once failed, with what they showed; they run in `npm test`. */
export interface Regression {
  readonly seed: number;
  readonly shows: string;
}

export const regressions: readonly Regression[] = [
  { seed: 1, shows: "two machines with the same past, killed between two steps" },
  { seed: 3, shows: "a stopped machine whose copy went on alone" },
  { seed: 6, shows: "a new chain skips what was never uploaded" },
  { seed: 7, shows: "a volume set back while the application is closed" },
  { seed: 16, shows: "a death with several uploads under way" },
  { seed: 21, shows: "a restart that lists late" },
  { seed: 22, shows: "a second writer whose files were retired meanwhile" },
  { seed: 32, shows: "power lost after a complete checkpoint" },
  { seed: 35, shows: "page hashes that were on their way when the engine died" },
  { seed: 146, shows: "a snapshot read before the chain began anew" },
  { seed: 294, shows: "a copied machine takes over from retired files" },
  { seed: 230, shows: "a copy takes over beside a busy machine" },
  { seed: 309, shows: "a file published by somebody who died before telling" },
  { seed: 510, shows: "a volume set back beside a store that lists late" },
  { seed: 1055, shows: "a paused machine beside its busy copy" },
  { seed: 1060, shows: "a listing that was overtaken by another one" },
  { seed: 1103, shows: "the same, with a store that fails" },
  { seed: 2017, shows: "a chain of its own behind another writer's file" },
];
