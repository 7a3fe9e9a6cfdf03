"use strict";
// Slice viewers: one for each <details class="viewer">, which holds its data as JSON (report/pictures/slice_viewer.py says what).
// A viewer decodes its data when it is opened first; all three planes are cut from that one copy.
(() => {
  // Axis that is cut, axis of the rows, axis of the columns; axes are slices, rows, columns of the stack.
  const PLANES = { axial: [0, 1, 2], coronal: [1, 0, 2], sagittal: [2, 0, 1] };
  const EDGES = { axial: ["R", "A"], coronal: ["R", "S"], sagittal: ["A", "S"] }; // what is at the left and the top
  const LAYER_KEYS = { i: "image", r: "reference", p: "prediction", d: "disagreement" };
  const PLANE_KEYS = { a: "axial", c: "coronal", s: "sagittal" };
  const STEPS = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
  const WHEEL = 40; // pixels of scrolling for a slice: one notch of a mouse, a short stroke of a touchpad
  const SWIPE = 12; // pixels of a finger for a slice

  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  async function decodeMask(text) {
    const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint16Array(await new Response(stream).arrayBuffer());
  }

  // Red, green and blue of each voxel, or its brightness alone.
  async function decodeImage(data) {
    const [slices, rows, columns] = data.shape;
    const blob = new Blob([bytesOf(data.image)], { type: "image/jpeg" });
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const channels = data.colour ? 3 : 1;
    const voxels = new Uint8Array(slices * rows * columns * channels);
    for (let slice = 0, to = 0; slice < slices; slice++) {
      const left = (slice % data.tiles) * columns, top = Math.floor(slice / data.tiles) * rows;
      const tile = context.getImageData(left, top, columns, rows).data;
      for (let from = 0; from < tile.length; from += 4) {
        for (let part = 0; part < channels; part++) voxels[to++] = tile[from + part];
      }
    }
    return voxels;
  }

  class Viewer {
    constructor(root) {
      this.root = root;
      this.canvas = root.querySelector("canvas");
      this.slider = root.querySelector("input[type=range]");
      this.readout = root.querySelector(".readout");
      this.planeButtons = root.querySelectorAll("[data-plane]");
      this.layerButtons = root.querySelectorAll("[data-layer]");
      this.layers = { image: true, reference: true, prediction: true, disagreement: false };
      Object.assign(this, { plane: "axial", run: 0, scrolled: 0 });
      root.hidden = false;
      root.addEventListener("toggle", () => root.open && this.open());
    }

    async open() {
      if (this.data) return;
      const data = (this.data = JSON.parse(this.root.querySelector("script").textContent));
      this.place = data.middle.slice();
      try {
        this.reference = await decodeMask(data.reference);
        this.predictions = await Promise.all(data.predictions.map(decodeMask));
        this.image = data.image ? await decodeImage(data) : null;
      } catch (fault) {
        this.readout.textContent = `This browser cannot decode the slices: ${fault.message}`;
        return;
      }
      const style = getComputedStyle(document.documentElement);
      const colour = (name) => [name, style.getPropertyValue(`--${name}`)];
      this.colours = Object.fromEntries(["reference", "prediction", "confused"].map(colour));
      this.listen();
      new ResizeObserver(() => this.fit()).observe(this.canvas.parentElement);
      this.show();
    }

    listen() {
      const on = (target, event, action, options) => target.addEventListener(event, action, options);
      for (const button of this.planeButtons) on(button, "click", () => this.turn(button.dataset.plane));
      for (const button of this.layerButtons) on(button, "click", () => this.toggle(button.dataset.layer));
      const choice = this.root.querySelector("select");
      if (choice) on(choice, "change", () => { this.run = choice.selectedIndex; this.show(); });
      on(this.slider, "input", () => this.move(this.slider.value - this.slider.max + this.place[this.axes[0]]));
      on(this.root, "keydown", (event) => this.press(event));
      on(this.canvas, "wheel", (event) => this.wheel(event), { passive: false });
      on(this.canvas, "pointerdown", (event) => (this.finger = event.pointerType === "mouse" ? null : event.clientX));
      on(this.canvas, "pointermove", (event) => this.point(event));
      on(this.canvas, "pointerleave", () => { this.readout.textContent = "\u00a0"; });
    }

    get axes() { return PLANES[this.plane]; }

    press(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (key in LAYER_KEYS) this.toggle(LAYER_KEYS[key]);
      else if (key in PLANE_KEYS) this.turn(PLANE_KEYS[key]);
      else if (event.target === this.canvas && key in STEPS) this.move(STEPS[key]);
      else return;
      event.preventDefault();
    }

    wheel(event) {
      if (event.ctrlKey) return; // the browser's own zoom
      this.scrolled += event.deltaMode ? Math.sign(event.deltaY) * WHEEL : event.deltaY;
      if (Math.abs(this.scrolled) < WHEEL) return event.preventDefault();
      if (this.move(-Math.sign(this.scrolled))) event.preventDefault(); // at the ends the page scrolls on
      this.scrolled = 0;
    }

    point(event) {
      const slices = this.finger == null ? 0 : Math.trunc((event.clientX - this.finger) / SWIPE);
      if (slices) {
        this.move(slices);
        this.finger += slices * SWIPE;
      }
      const [, row, column] = this.axes;
      const box = this.canvas.getBoundingClientRect();
      const inside = (share, size) => Math.min(size - 1, Math.max(0, Math.floor(share * size)));
      const r = inside((event.clientY - box.top) / box.height, this.data.shape[row]);
      const c = inside((event.clientX - box.left) / box.width, this.data.shape[column]);
      const [start, down, right] = this.strides();
      const at = start + r * down + c * right, name = (code) => this.data.classes[code] ?? `class ${code}`;
      const wanted = name(this.reference[at]), found = name(this.predictions[this.run][at]);
      this.readout.textContent = `Reference: ${wanted} · Prediction: ${found}`;
    }

    move(slices) {
      const axis = this.axes[0], before = this.place[axis];
      this.place[axis] = Math.min(this.data.shape[axis] - 1, Math.max(0, before - slices));
      if (this.place[axis] !== before) this.show();
      return this.place[axis] !== before;
    }

    toggle(layer) {
      const button = this.root.querySelector(`[data-layer=${layer}]`);
      if (button.disabled) return;
      this.layers[layer] = !this.layers[layer];
      this.show();
    }

    turn(plane) {
      if (this.planeButtons.length) this.plane = plane; // a picture has one plane and no buttons for it
      this.show();
    }

    // Controls and words, then the picture.
    show() {
      const axis = this.axes[0], { first, step, size, shape } = this.data;
      const number = size[axis] - first[axis] - step[axis] * this.place[axis];
      for (const button of this.planeButtons) button.ariaPressed = button.dataset.plane === this.plane;
      for (const button of this.layerButtons) button.ariaPressed = this.layers[button.dataset.layer];
      const flat = size[0] === 1;
      const where = flat ? "Picture" : `${this.plane} slice ${number} of ${size[axis]}`;
      this.slider.max = shape[axis] - 1;
      this.slider.value = shape[axis] - 1 - this.place[axis];
      this.slider.ariaValueText = where;
      this.root.querySelector("output").textContent = where;
      const shown = Object.keys(this.layers).filter((layer) => this.layers[layer]);
      this.canvas.ariaLabel = `${where}, shown: ${shown.join(", ") || "nothing"}`;
      if (this.data.oriented) [this.canvas.parentElement.dataset.left, this.canvas.parentElement.dataset.top] = EDGES[this.plane];
      this.fit();
    }

    // As large as the stage allows, with the voxels' true proportions.
    fit() {
      const stage = this.canvas.parentElement, [, row, column] = this.axes, { shape, spacing } = this.data;
      const height = shape[row] * spacing[row], width = shape[column] * spacing[column];
      if (!stage.clientWidth) return;
      const scale = Math.min(stage.clientWidth / width, stage.clientHeight / height);
      const dense = window.devicePixelRatio || 1;
      this.canvas.style.width = `${width * scale}px`;
      this.canvas.style.height = `${height * scale}px`;
      this.canvas.width = Math.max(1, Math.round(width * scale * dense));
      this.canvas.height = Math.max(1, Math.round(height * scale * dense));
      this.draw(dense);
    }

    // Index of the slice's first voxel, and how far apart rows and columns are.
    strides() {
      const apart = [this.data.shape[1] * this.data.shape[2], this.data.shape[2], 1];
      const [cut, row, column] = this.axes;
      return [this.place[cut] * apart[cut], apart[row], apart[column]];
    }

    draw(dense) {
      const context = this.canvas.getContext("2d");
      const rows = this.data.shape[this.axes[1]], columns = this.data.shape[this.axes[2]];
      context.fillStyle = "#000";
      context.fillRect(0, 0, this.canvas.width, this.canvas.height);
      if (this.image && this.layers.image) this.drawImage(context, rows, columns);
      if (this.layers.disagreement) this.drawDisagreement(context, rows, columns);
      // The reference is the wider line below, so that both are seen where they agree.
      const line = (layer, mask, width) => {
        if (this.layers[layer]) this.drawOutline(context, mask, rows, columns, this.colours[layer], width * dense);
      };
      line("reference", this.reference, 4);
      line("prediction", this.predictions[this.run], 1.75);
    }

    drawImage(context, rows, columns) {
      const [start, down, right] = this.strides(), channels = this.data.colour ? 3 : 1;
      const plane = new ImageData(columns, rows);
      for (let cell = 0; cell < rows * columns; cell++) {
        const from = (start + Math.floor(cell / columns) * down + (cell % columns) * right) * channels;
        for (let part = 0; part < 3; part++) plane.data[4 * cell + part] = this.image[from + (part % channels)];
        plane.data[4 * cell + 3] = 255;
      }
      const small = new OffscreenCanvas(columns, rows);
      small.getContext("2d").putImageData(plane, 0, 0);
      context.imageSmoothingQuality = "high";
      context.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
    }

    // Voxels where the codes differ: what only one of them has in its colour, one class taken for another in a third.
    drawDisagreement(context, rows, columns) {
      const [start, down, right] = this.strides(), prediction = this.predictions[this.run];
      const { height, width } = this.canvas;
      const y = (r) => Math.round((r * height) / rows), x = (c) => Math.round((c * width) / columns);
      context.globalAlpha = 0.6;
      for (let cell = 0; cell < rows * columns; cell++) {
        const r = Math.floor(cell / columns), c = cell % columns, at = start + r * down + c * right;
        const wanted = this.reference[at], found = prediction[at];
        if (wanted === found) continue;
        context.fillStyle = this.colours[!found ? "reference" : !wanted ? "prediction" : "confused"];
        context.fillRect(x(c), y(r), x(c + 1) - x(c), y(r + 1) - y(r));
      }
      context.globalAlpha = 1;
    }

    // Along the edges of voxels, between codes that differ.
    drawOutline(context, mask, rows, columns, colour, width) {
      const [start, down, right] = this.strides(), path = new Path2D();
      const high = this.canvas.height / rows, wide = this.canvas.width / columns;
      const code = (r, c) => (r < 0 || c < 0 || r >= rows || c >= columns ? 0 : mask[start + r * down + c * right]);
      const line = (c, r, right, lower) => {
        path.moveTo(c * wide, r * high);
        path.lineTo((c + right) * wide, (r + lower) * high);
      };
      for (let r = 0; r <= rows; r++) {
        for (let c = 0; c <= columns; c++) {
          if (code(r, c) !== code(r - 1, c)) line(c, r, 1, 0);
          if (code(r, c) !== code(r, c - 1)) line(c, r, 0, 1);
        }
      }
      Object.assign(context, { strokeStyle: colour, lineWidth: width, lineCap: "round" });
      context.stroke(path);
    }
  }

  for (const root of document.querySelectorAll("details.viewer")) new Viewer(root);
})();
