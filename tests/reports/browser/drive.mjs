// Opens pages in Chromium and says what was found. Tasks come as JSON on the standard input, answers leave on the
// standard output; see test_browser.py.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";

const { chromium: executablePath, modules, tasks } = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const axe = require("axe-core");

// Beyond the right edge of the window, and in no box that scrolls or clips: what a reader does not get to see.
const cutOff = () => {
  const width = document.documentElement.clientWidth;
  const kept = (element) => {
    for (let box = element; box && box !== document.body; box = box.parentElement) {
      if (getComputedStyle(box).overflowX !== "visible") { return true; }
    }
    return false;
  };
  const visible = (element) => element.getClientRects().length > 0;
  return {
    page: document.documentElement.scrollWidth - width,
    elements: [...document.querySelectorAll("main *")]
      .filter((e) => visible(e) && e.getBoundingClientRect().right > width + 1 && !kept(e))
      .map((e) => `${e.tagName} ${e.textContent.trim().slice(0, 40)}`),
  };
};

// After two frames the page has been laid out and painted.
const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))));

async function step(page, [action, selector, value]) {
  const place = page.locator(selector).first();
  if (action === "click") { await place.click(); }
  if (action === "fill") { await place.fill(value); }
  if (action === "select") { await place.selectOption(value); }
  if (action === "press") { await place.press(value); }
}

async function run(browser, task) {
  const [width, height] = task.window ?? [1280, 900];
  const context = await browser.newContext({ viewport: { width, height }, javaScriptEnabled: task.javascript ?? true });
  const page = await context.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("request", (request) => { if (!request.url().startsWith("file:")) { said.push(`asks for ${request.url()}`); } });
  try {
    await page.emulateMedia({ media: task.media ?? "screen" });
    await page.goto(`file://${task.path}`, { waitUntil: "load", timeout: 60000 });
    const loaded = task.javascript === false ? null : await page.evaluate(painted);
    const reads = [];
    for (const one of task.steps ?? []) {
      if (one[0] === "read") {
        reads.push(await page.evaluate(one[1]));
      } else {
        const start = performance.now();
        await step(page, one);
        if (task.timed) { await page.evaluate(painted); reads.push(performance.now() - start); }
      }
    }
    const cut = await page.evaluate(cutOff);
    let violations = null;
    if (task.axe) {
      await page.evaluate(axe.source);
      const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      violations = found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200)).join(" | ")}`);
    }
    if (task.pdf) { await page.pdf({ path: task.pdf, preferCSSPageSize: true, printBackground: true }); }
    if (task.picture) { await page.screenshot({ path: task.picture, fullPage: task.whole ?? false }); }
    return { loaded, reads, cut, violations, said };
  } finally {
    await context.close();
  }
}

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars"],
});
const answers = [];
for (const task of tasks) { answers.push(await run(browser, task)); }
await browser.close();
process.stdout.write(JSON.stringify(answers));
