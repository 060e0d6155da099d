import { openWindow } from '../support/personSuite.ts';

describe('a flow with parameters', function () {
  this.timeout(300_000);

  it('asks for those that have no default, and says what is wrong with an answer', async () => {
    const workbench = await openWindow({ file: 'parameters.py' });
    await workbench.openSidebar();
    await workbench.lens('Run with local').first().click();

    await workbench.page.getByText('name: str has no default').waitFor();
    await workbench.answer('Ada');
    await workbench.page.getByText('guests: list[str] has no default').waitFor();
    await workbench.answer('["Grace", ');
    await workbench.page
      .locator('.quick-input-message')
      .filter({ hasText: /list|JSON|expected/i })
      .waitFor();
    await workbench.answer('["Grace", "Edsger"]');

    await workbench.row('Runs', /^greetings.*completed/).waitFor({ timeout: 60_000 });
  });
});
