import assert from 'node:assert/strict';
import { DrawnRows } from '../../../src/core/drawnRows.ts';
import type { TreeNode } from '../../../src/core/tree.ts';

const plain = (id: string, description = ''): TreeNode => ({
  id,
  key: id,
  label: id,
  description,
  icon: 'x',
  context: 'x',
});

/** Two rows; under the first there are more, which are counted when they are made. */
class Rows {
  first = 'one';
  under = 'two';
  made = 0;
  readonly drawn = new DrawnRows(() => {
    const rows = this;
    const parent: TreeNode = {
      ...plain('parent', this.first),
      get children() {
        rows.made += 1;
        return [plain('child', rows.under)];
      },
    };
    return [parent, plain('other')];
  });
}

const onlyChild = (rows: readonly TreeNode[]) => rows.map(({ description }) => description);

describe('rows that a view has been given', () => {
  it('have changed before there are any, and when one of them reads differently', () => {
    const rows = new Rows();
    assert.equal(rows.drawn.changed(), true);
    rows.drawn.children();
    assert.equal(rows.drawn.changed(), false);
    rows.first = 'another';
    assert.equal(rows.drawn.changed(), true);
  });

  it('are compared where the view is open, and not even made where it is closed', () => {
    const rows = new Rows();
    const [parent] = rows.drawn.children();
    rows.under = 'three';
    assert.equal(rows.drawn.changed(), false);
    assert.equal(rows.made, 0);
    rows.drawn.children(parent);
    assert.equal(rows.drawn.changed(), false);
    rows.under = 'four';
    assert.equal(rows.drawn.changed(), true);
  });

  it('are as they are now when a row is opened, however long ago that was drawn', () => {
    let under = 'then';
    const drawn = new DrawnRows(() => {
      const now = under;
      return [{ ...plain('parent'), children: [plain('child', now)] }];
    });
    const [parent] = drawn.children();
    under = 'now';
    assert.equal(drawn.changed(), false);
    assert.deepEqual(onlyChild(drawn.children(parent)), ['now']);
  });

  it('are forgotten with a new drawing: what is closed by then is not compared any more', () => {
    const rows = new Rows();
    rows.drawn.children(rows.drawn.children()[0]);
    rows.drawn.children();
    rows.under = 'changed';
    rows.made = 0;
    assert.equal(rows.drawn.changed(), false);
    assert.equal(rows.made, 0);
  });

  it('have changed when one gets rows under it, or comes to be open or closed at first', () => {
    for (const change of [
      { children: [] },
      { expanded: true },
      { tooltip: 'x' },
    ] satisfies Partial<TreeNode>[]) {
      let other: Partial<TreeNode> = {};
      const drawn = new DrawnRows(() => [{ ...plain('a'), ...other }]);
      drawn.children();
      other = change;
      assert.equal(drawn.changed(), true, JSON.stringify(change));
    }
  });
});
