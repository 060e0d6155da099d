import type { TreeNode } from './tree.ts';

/** All of a row that a view shows or goes by, but for the rows under it. */
const shown = [
  'id',
  'key',
  'label',
  'description',
  'tooltip',
  'icon',
  'color',
  'context',
  'opens',
  'expanded',
] satisfies (keyof TreeNode)[];

interface Level {
  readonly rows: readonly TreeNode[];
  readonly text: string;
}

/**
 * What a view has been given of a tree of rows. A view asks for the rows under those that are open; only these are
 * made and compared, so that what is closed costs nothing, however much it holds.
 */
export class DrawnRows {
  readonly #roots: () => readonly TreeNode[];
  /** By the id of the row above; the first level by the empty text. */
  readonly #levels = new Map<string, Level>();

  constructor(roots: () => readonly TreeNode[]) {
    this.#roots = roots;
  }

  /** The rows under `node`, for the view. Asking for the first level begins a new drawing. */
  children(node?: TreeNode): readonly TreeNode[] {
    if (!node) this.#levels.clear();
    const rows = node ? (this.#latest(node).children ?? []) : this.#roots();
    this.#levels.set(node?.id ?? '', levelOf(rows));
    return rows;
  }

  /** Whether any row that the view has would be another now. */
  changed(): boolean {
    return this.#differs('', this.#roots());
  }

  #differs(id: string, rows: readonly TreeNode[]): boolean {
    const level = this.#levels.get(id);
    if (level === undefined) return true;
    const next = levelOf(rows);
    if (next.text !== level.text) return true;
    // The rows read the same; those made last know best what is under them.
    this.#levels.set(id, next);
    return rows.some((row) => this.#levels.has(row.id) && this.#differs(row.id, row.children ?? []));
  }

  /** A row may be opened long after it was drawn, when it looks the same but more is under it. */
  #latest(node: TreeNode): TreeNode {
    for (const { rows } of this.#levels.values()) {
      const same = rows.find(({ id }) => id === node.id);
      if (same) return same;
    }
    return node;
  }
}

const levelOf = (rows: readonly TreeNode[]): Level => ({
  rows,
  text: JSON.stringify(rows.map((row) => ['children' in row, ...shown.map((field) => row[field])])),
});
