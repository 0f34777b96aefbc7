"""Everything but the lungs' own contents: chest wall, bones, mediastinum, abdomen, table, and the plain parenchyma."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.phantom.canvas import Array, Canvas, coverage
from harness.phantom.grid import Points
from harness.phantom.patient import Chest, Patient, ellipsoid, smooth_union

#: Attenuation of the tissues, in HU (unenhanced scan).
HU = {
    "air": -1000,
    "skin": 10,
    "fat": -100,
    "muscle": 52,
    "cortical": 620,
    "marrow": 190,
    "cartilage": 95,
    "disc": 75,
    "cord": 35,
    "mediastinum": -85,
    "blood": 42,
    "oesophagus": 28,
    "liver": 58,
    "spleen": 48,
    "gas": -960,
    "shell": -420,
    "foam": -935,
    "fissure": -450,
    "pleura": -250,
}

#: Mediastinal vessels of the reference patient: start, end (mm), radius (mm).
_GREAT_VESSELS = (
    ((-8, -20, -52), (-13, -18, 20), 15.0),  # ascending aorta
    ((-13, -18, 20), (-4, -8, 34), 14.0),
    ((-4, -8, 34), (16, 22, 34), 13.0),  # arch
    ((16, 22, 34), (24, 44, 22), 12.5),
    ((24, 44, 22), (24, 48, -60), 12.0),  # descending aorta
    ((24, 48, -60), (8, 50, -190), 11.5),
    ((-25, -10, 66), (-24, -8, -40), 9.0),  # superior vena cava
    ((-22, 8, -84), (-24, 16, -190), 12.0),  # inferior vena cava
    ((16, -28, -36), (18, -14, -12), 13.5),  # pulmonary trunk
    ((18, -14, -12), (-2, 2, -16), 10.5),
    ((-2, 2, -16), (-36, 8, -20), 10.0),  # right pulmonary artery
    ((18, -14, -12), (40, 14, -10), 10.5),  # left pulmonary artery
    ((-36, 12, -44), (0, 8, -46), 8.0),  # pulmonary veins
    ((38, 10, -44), (4, 8, -46), 8.0),
    ((-4, -10, 40), (-20, -8, 140), 6.0),  # brachiocephalic trunk
    ((6, 0, 44), (14, -2, 140), 4.5),  # left carotid
    ((14, 14, 44), (34, 4, 140), 5.5),  # left subclavian artery
    ((-24, -12, 62), (24, -24, 84), 6.0),  # left brachiocephalic vein
)


def paint_body(canvas: Canvas, slab: int) -> None:
    """Paint the whole volume except airways, vessels and findings, and set segments, depths and pleural truth.

    Parameters
    ----------
    canvas
        Its volumes are filled.
    slab
        Slices painted at a time; it bounds the memory and changes nothing else.
    """
    depth = canvas.grid.shape[2]
    for first in range(0, depth, slab):
        rows, columns, _ = canvas.grid.whole
        box = rows, columns, slice(first, min(first + slab, depth))
        chest = canvas.patient.chest(canvas.grid.points(box))
        canvas.segments[box] = canvas.patient.segments(chest)
        canvas.depth[box] = -chest.lung
        painter = _Painter(canvas.ct[box], chest, canvas.patient, canvas.grid.voxel)
        painter.chest_wall()
        painter.bones()
        painter.mediastinum()
        painter.abdomen()
        painter.lungs()
        painter.table()
        canvas.ct[box] = painter.ct
        for space, distance in zip(canvas.patient.pleura, chest.spaces, strict=True):
            inside = distance < 0
            canvas.finding[box][inside] = space.finding + 1
            canvas.entity[box][inside] = space.entity
    _great_vessels(canvas)


def _great_vessels(canvas: Canvas) -> None:
    for start, end, radius in _GREAT_VESSELS:
        place = canvas.patient.place
        box, distance = canvas.tube(place(start), place(end), radius)
        outside_lungs = (canvas.segments[box] == 0) & (canvas.finding[box] == 0)
        canvas.blend(box, coverage(distance, canvas.grid.voxel) * outside_lungs, HU["blood"])


class _Painter:
    """Paints one slab, from the skin inwards; later tissues cover earlier ones."""

    def __init__(self, ct: Array, chest: Chest, patient: Patient, voxel: float) -> None:
        self.ct = ct
        self.chest = chest
        self.patient = patient
        self.voxel = voxel
        self.points: Points = chest.points

    def _blend(self, distance: npt.NDArray[np.floating], hu: npt.ArrayLike, strength: float = 1.0) -> None:
        share = coverage(np.asarray(distance, np.float32), self.voxel) * np.float32(strength)
        self.ct = self.ct + share * (np.asarray(hu, np.float32) - self.ct)

    def _thin(self, thickness: float) -> float:
        """Return the largest fraction of a voxel that a sheet of `thickness` mm can fill."""
        return min(1.0, thickness / self.voxel)

    def chest_wall(self) -> None:
        """Skin, subcutaneous fat, breasts and muscle."""
        x, y, z = self.points
        fat = self.patient.fat
        neck = np.maximum(z - 70, 0)
        width, depth = 138 + fat - 0.3 * neck, 96 + 0.8 * fat - 0.25 * neck
        u, v = np.square(x / width), np.square((y - 2) / depth)
        norm = np.sqrt(np.maximum(u + v - 0.3 * u * v, 1e-4))
        skin = np.sqrt(np.square(x) + np.square(y - 2)) * (1 - 1 / np.maximum(norm, 0.1))
        skin = np.where(norm > 1.6, np.float32(60), skin)
        if self.patient.breasts:
            size = self.patient.breasts
            breast = ellipsoid((np.abs(x), y, z), (70.0, -depth_at(fat) + 22, -46.0), (size, 0.75 * size, 0.9 * size))
            skin = smooth_union(skin, breast, 24)
        self.skin = skin
        self._blend(skin, HU["skin"])
        self._blend(skin + 2, HU["fat"])
        muscle = np.maximum(self.chest.cage - self._muscle_thickness(), skin + 3)
        self._blend(muscle, HU["muscle"])
        between = np.abs(self.chest.cage - 15) - 1.2
        self._blend(np.maximum(between, muscle), HU["fat"], 0.6 * self._thin(2.4))
        if self.patient.breasts:
            size = 0.5 * self.patient.breasts
            gland = ellipsoid((np.abs(x), y, z), (70.0, -depth_at(fat) + 10, -46.0), (size, 0.7 * size, 0.9 * size))
            self._blend(np.maximum(gland, skin + 4), -10, 0.6)

    def _muscle_thickness(self) -> Array:
        """Return how far muscle reaches beyond the rib cage, in mm: much beside the spine, little at the flank."""
        x, y, z = self.points
        side = np.abs(x)
        pectoral = np.exp(-np.square((side - 62) / 34) - np.square((y + 74) / 30) - np.square((z - 30) / 42))
        shoulder = np.exp(-np.square((side - 98) / 34) - np.square((y - 52) / 40) - np.square((z - 42) / 62))
        spinal = np.exp(-np.square((side - 26) / 22) - np.square((y - 92) / 26))
        return np.asarray(14 + 9 * pectoral + 9 * shoulder + 15 * spinal, np.float32)

    def bones(self) -> None:
        """Ribs, sternum, scapulae, clavicles and spine."""
        x, y, z = self.points
        side = np.abs(x)
        # A rib leaves the spine nearly level and falls ever more steeply towards the front; its flat side leans.
        along = np.clip((85 - y) / 170, 0, 1.2)
        phase = np.mod(z + 72 * along * np.sqrt(along) + 4, 25) - 12.5
        norm = np.sqrt(np.square((self.chest.cage - 7 - 0.22 * phase) / 4.2) + np.square(phase / 6.8))
        rib = np.maximum(np.maximum((norm - 1) * 5.2, 20 - side), np.abs(z + 25) - 128)
        costal = y < -62
        self._blend(rib, np.where(costal, HU["cartilage"], HU["cortical"]))
        self._blend(rib + 1.6, np.where(costal, HU["cartilage"], HU["marrow"]))
        half_width = 14 + 9 * np.clip((z - 4) / 34, 0, 1)
        flat = np.sqrt(np.square(side / half_width) + np.square((y + 93 - 0.05 * (z + 22)) / 6.5))
        sternum = np.maximum((flat - 1) * 6.5, np.abs(z + 22) - 74)
        self._bone(sternum, HU["marrow"] - 40)
        blade = np.sqrt(np.square((side - 88) / 36) + np.square((z - 38) / 62))
        scapula = np.maximum(np.maximum(np.abs(self.chest.cage - 21) - 3.2, (blade - 1) * 36), 30 - y)
        self._bone(scapula, HU["marrow"])
        clavicle = np.sqrt(np.square((y + 58 - 0.35 * side) / 6.5) + np.square((z - 78 - 0.22 * side) / 6.5))
        self._bone(np.maximum((clavicle - 1) * 6.5, np.abs(side - 66) - 50), HU["marrow"])
        self._spine(x, y, z)

    def _bone(self, distance: npt.NDArray[np.floating], marrow: float, shell: float = 1.6) -> None:
        self._blend(distance, HU["cortical"])
        self._blend(distance + shell, marrow)

    def _spine(self, x: Array, y: Array, z: Array) -> None:
        side = np.abs(x)
        level = np.mod(z, 27) - 13.5
        body = ellipsoid(self.points, (0.0, 65.0, 0.0), (18.0, 15.0, float("inf")))
        self._blend(body, HU["disc"])
        self._bone(np.maximum(body, np.abs(level) - 10.5), HU["marrow"])
        arch = ellipsoid(self.points, (0.0, 87.0, 0.0), (14.0, 12.0, float("inf")))
        self._bone(np.maximum(arch, np.abs(level) - 9), HU["marrow"] + 60)
        transverse = np.maximum(np.maximum(side - 33, np.abs(y - 88 - 0.2 * side) - 4.5), np.abs(level) - 5)
        self._bone(transverse, HU["marrow"])
        spinous = np.maximum(np.maximum(side - 3.2, np.abs(y - 104) - 9), np.abs(level + 4) - 8)
        self._bone(np.maximum(spinous, self.skin + 4), HU["marrow"] + 60)
        canal = ellipsoid(self.points, (0.0, 86.0, 0.0), (9.0, 7.5, float("inf")))
        self._blend(canal, HU["cord"])

    def mediastinum(self) -> None:
        """Fat, heart and oesophagus; the great vessels follow as tubes."""
        within = self.chest.cage + 1
        _, y, _ = self.points
        self._blend(np.maximum(within, y - 56), HU["mediastinum"])
        heart = self.patient.heart_surface(self.points)
        self._blend(np.maximum(heart, within), HU["blood"])
        oesophagus = ellipsoid(self.points, (5.0, 34.0, 0.0), (8.0, 6.0, float("inf")))
        self._blend(oesophagus, HU["oesophagus"])

    def abdomen(self) -> None:
        """Diaphragm, liver, spleen and stomach, with fat between them."""
        x, y, z = self.points
        if z.min() > -70:
            return
        below = np.maximum(-self.chest.diaphragm, self.chest.cage + 1)
        below = np.maximum(below, 26 - np.abs(x))
        behind = np.maximum(below, y - 84)
        self._blend(behind, HU["muscle"])
        self._blend(behind + 3, np.where(x < 0, HU["liver"], HU["fat"]))
        epigastrium = ellipsoid(self.points, (2.0, -44.0, -150.0), (51.0, 45.0, 63.0))
        self._blend(np.maximum(epigastrium, self.chest.cage + 1), HU["liver"])
        spleen = ellipsoid(self.points, (78.0, 34.0, -142.0), (34.0, 42.0, 40.0))
        stomach = ellipsoid(self.points, (58.0, -34.0, -146.0), (38.0, 36.0, 36.0))
        self._blend(np.maximum(spleen, behind + 4), HU["spleen"])
        self._blend(np.maximum(stomach, behind + 4), HU["muscle"])
        self._blend(np.maximum(np.maximum(stomach + 5, behind + 9), y + 30), HU["gas"])

    def lungs(self) -> None:
        """Parenchyma denser towards the back, the fissures, and what fills the pleural space."""
        _, y, z = self.points
        chest = self.chest
        gradient = 0.32 * y + 0.04 * (-z - 20)
        mottle = 9 * np.sin(y / 9.0 + 1.3 * np.sin(z / 7.0)) * np.sin(self.points[0] / 8.0 + z / 11.0)
        self._blend(chest.cavity, self.patient.lung_hu + gradient + mottle)
        oblique, horizontal = self.patient.fissures_at(self.points)
        right_upper = np.maximum(self.points[0], -oblique)
        self._blend(np.maximum(chest.lung + 1, np.abs(oblique) - 0.5 * self.voxel), HU["fissure"], self._thin(0.9))
        minor = np.maximum(np.maximum(chest.lung + 1, np.abs(horizontal) - 0.5 * self.voxel), right_upper)
        self._blend(minor, HU["fissure"], self._thin(0.4))
        for space, distance in zip(self.patient.pleura, chest.spaces, strict=True):
            if space.hu < -500:
                self._blend(np.abs(distance) - 0.7, HU["pleura"])
            self._blend(np.where(distance <= 0, -self.voxel, self.voxel), space.hu)

    def table(self) -> None:
        """Couch under the patient: a thin shell round foam."""
        x, y, _ = self.points
        top = 103 + 0.8 * self.patient.fat - 0.0022 * np.square(x)
        inside = np.maximum(np.maximum(top - y, y - top - 22), np.abs(x) - 168)
        air = np.maximum(inside, 1 - self.skin)
        self._blend(air, HU["shell"], self._thin(1.5))
        self._blend(air + 1.5, HU["foam"])


def depth_at(fat: float) -> float:
    """Return the half-depth of the body, in mm, for a thickness of its fat."""
    return 94 + 0.8 * fat
