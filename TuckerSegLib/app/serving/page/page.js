// What the page does by itself: it notices a lost connection, and sends files that are dropped or chosen.
"use strict";
(() => {
  const NativeSocket = window.WebSocket;
  let leaving = false;
  window.addEventListener("beforeunload", () => { leaving = true; });
  window.WebSocket = class extends NativeSocket {
    constructor(...settings) {
      super(...settings);
      this.addEventListener("close", () => { if (!leaving) lost(); });
    }
  };

  function lost() {
    if (document.getElementById("connection-lost")) return;
    const bar = document.createElement("div");
    bar.id = "connection-lost";
    bar.setAttribute("role", "alert");
    bar.textContent = "The connection is lost: the page comes back as soon as TuckerSeg answers.";
    document.body.append(bar);
    const timer = setInterval(async () => {
      try {
        const answer = await fetch("/alive", { cache: "no-store" });
        if (answer.ok || answer.status === 403) { clearInterval(timer); location.assign("/"); }
        else if (answer.status === 503) await fetch("/", { cache: "no-store" });
      } catch { /* not yet */ }
    }, 1000);
  }

  const call = (name, ...values) => window.trame && window.trame.trigger(name, values);

  async function* walk(entry, path) {
    if (entry.isFile) {
      yield [path + entry.name, await new Promise((done, failed) => entry.file(done, failed))];
    } else {
      const reader = entry.createReader();
      for (;;) {  // a reader gives a hundred entries at a time
        const some = await new Promise((done, failed) => reader.readEntries(done, failed));
        if (!some.length) return;
        for (const one of some) yield* walk(one, `${path}${entry.name}/`);
      }
    }
  }

  async function send(files) {
    const batch = crypto.getRandomValues(new Uint32Array(4)).join("");
    const total = files.reduce((sum, [, file]) => sum + file.size, 0);
    let sent = 0, next = 0, failure = "";
    await call("upload_begins", files.length, total);
    async function some() {
      while (next < files.length && !failure) {
        const [path, file] = files[next++];
        const query = new URLSearchParams({ batch, path, total, count: files.length });
        try {
          const answer = await fetch(`/upload?${query}`, { method: "POST", body: file });
          if (!answer.ok) failure = (await answer.text()) || `The file could not be sent (${answer.status}).`;
        } catch { failure = "The connection broke while the files were sent: send them again."; }
        sent += file.size;
        call("upload_goes_on", sent, total);
      }
    }
    await Promise.all(Array.from({ length: 4 }, some));
    await call("upload_ends", batch, failure);
  }

  window.tuckerseg = {
    choose(folder) {
      const input = document.createElement("input");
      input.type = "file";
      input.multiple = true;
      input.webkitdirectory = Boolean(folder);
      input.id = "file-chooser";
      input.style.display = "none";
      document.getElementById("file-chooser")?.remove();
      document.body.append(input);
      input.addEventListener("change", () => {
        const files = Array.from(input.files, (file) => [file.webkitRelativePath || file.name, file]);
        if (files.length) send(files);
      });
      input.click();
    },
  };

  function area() {
    let found = document.getElementById("drop-here");
    if (!found) {
      found = document.createElement("div");
      found.id = "drop-here";
      found.textContent = "Drop a file or a DICOM folder here";
      document.body.append(found);
    }
    return found;
  }
  const hasFiles = (event) => Array.from(event.dataTransfer?.types || []).includes("Files");
  window.addEventListener("dragover", (event) => {
    if (hasFiles(event)) { event.preventDefault(); area().classList.add("shown"); }
  });
  window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) area().classList.remove("shown"); });
  window.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    area().classList.remove("shown");
    const entries = Array.from(event.dataTransfer.items, (item) => item.webkitGetAsEntry()).filter(Boolean);
    const files = [];
    for (const entry of entries) for await (const found of walk(entry, "")) files.push(found);
    if (files.length) send(files);
  });

  // The system's choice of light or dark, until the user chooses.
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const tellTheme = () => call("system_theme", localStorage.getItem("tuckerseg-theme") || (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", tellTheme);
  const waiting = setInterval(() => {
    if (window.trame && document.querySelector(".tucker-panel")) { clearInterval(waiting); tellTheme(); }
  }, 100);
  window.tuckerseg.theme = (name) => localStorage.setItem("tuckerseg-theme", name);

  window.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=range]), textarea, select, [contenteditable=true]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" || "sSvV1234".includes(event.key)) call("key", event.key);
  });
})();
