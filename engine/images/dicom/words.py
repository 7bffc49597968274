"""The words that a header may say: closed lists, so that a name written into the wrong tag is never shown."""

from __future__ import annotations

import re


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


MODALITIES = _listed(
    "AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT IVUS "
    "KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG "
    "RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA "
    "XA XAPROTOCOL XC"
)
"""PS3.3, C.7.3.1.1.1."""

BODY_PARTS = _listed(
    "ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK CALCANEUS CALF "
    "CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CHOROIDPLEXUS CIRCLEOFWILLIS CLAVICLE COCCYX "
    "COLON CORNEA CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FINGER "
    "FOOT FOREARM GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM KIDNEY KNEE LARYNX LEG "
    "LIVER LSPINE LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV "
    "NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RADIUS RADIUSULNA RECTUM RIB SCALP "
    "SCAPULA SCLERA SCROTUM SHOULDER SINUS SKULL SPINE SPLEEN SSPINE STERNUM STOMACH SUBMANDIBULAR TESTIS THALAMUS "
    "THIGH THORAX THUMB THYMUS THYROID TIBIA TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA TSPINE ULNA URETER URETHRA "
    "UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA"
)
"""PS3.16, annex L."""

VIEWS = _listed("AP PA LL RL LLD RLD LLO RLO CC MLO ML LM LMO XCCL XCCM XCC FB SIO ISO CV AT RL RM TAN SPECIMEN")
"""PS3.3, C.8.11.5 and C.8.1.1, and the codes of views of the breast."""

LATERALITIES = _listed("L R B U")

UNITS = {
    "HU": "HU",
    "HU_MOD": "modified HU",
    "OD": "thousandths of optical density",
    "BQML": "Bq/ml",
    "CNTS": "counts",
    "PROPCNTS": "proportional to counts",
    "CPS": "counts per second",
    "GML": "g/ml",
    "CM2ML": "cm2/ml",
    "PCNT": "%",
    "GY": "Gy",
    "RELATIVE": "relative dose",
    "MGML": "mg/ml",
    "Z_EFF": "effective atomic number",
    "ED": "10^23 electrons/ml",
    "EDW": "electron density relative to water",
}
"""Of values after the modality LUT: codes of the tags RescaleType, Units and DoseUnits, and what is shown."""

_DESCRIBING = _listed(
    "2D 3D 4D ABD ABDOMEN ADC ANGIO ANKLE AP ARM ARTERIAL AX AXIAL AXL B0 B1000 B500 B50 B800 BOLD BONE BRAIN BREAST "
    "BRONCHO BTFE CARDIAC CC CE CERVICAL CHEST CINE CISS CONTRAST COR CORONAL CORR CORRECTED CSPINE CT CTA DCE "
    "DELAY DELAYED DIFF DIFFUSION DOSE DTI DUAL DWI DYNAMIC DYN ECHO ELBOW EPI FAT FFE FGRE FIESTA FINGER FLAIR "
    "FLASH FMRI FOOT FRONTAL FS FSE FSPGR FSAT GD GRADIENT GRE HAND HASTE HEAD HEART HIP IN INPHASE IR KIDNEY KNEE "
    "LAO LAT LATERAL LAVA LEFT LIVER LOC LOCALISER LOCALIZER LSPINE LUMBAR LUNG MAP MEDIASTINUM MIP MLO MPR MPRAGE MRA "
    "MRCP MRI MRV NATIVE NECK NON OBL OBLIQUE OPP OPPOSED ORBIT OUT PA PD PDW PELVIS PERFUSION PET PHASE PLAIN PORTAL "
    "POST PRE PROPELLER PROSTATE PROTON RAO RECON REFORMAT RIB RIGHT SAG SAGITTAL SCOUT SE SHOULDER SKULL SLICE SOFT "
    "SPACE SPAIR SPECT SPGR SPINE STANDARD STIR STUDY SURVEY SUV SWI T1 T1W T2 T2W T2STAR TFE THICK THIN THORAX "
    "TIRM TISSUE TOF TOPOGRAM TRA TRACE TRANSVERSE TSE TSPINE TURBO UNENHANCED VENOUS VIBE VIEW VOLUME WATER WHOLE "
    "WITH WITHOUT WRIST XRAY"
)
"""Words that describe how a series was made; none of them is a usual name of a person or a place."""

_LONGEST_DESCRIPTION = 60
_BETWEEN_WORDS = re.compile(r"[^A-Za-z0-9]+")
_THICKNESS = re.compile(r"[0-9]{1,2}MM")


def code(value: object, known: frozenset[str]) -> str:
    """Return a code that is one of those known, in capitals; empty for anything else."""
    text = str(value or "").strip().upper()
    return text if text in known else ""


def description(value: object) -> str:
    """Return what is safe of a series' description: its words of the trade, in their order, all others left out.

    People write names, rooms and dates into descriptions, and PS3.15 counts the tag among those to remove.
    """
    words = (word.upper() for word in _BETWEEN_WORDS.split(str(value or "")[:200]))
    kept = " ".join(word for word in words if word in _DESCRIBING or _THICKNESS.fullmatch(word))
    return kept[:_LONGEST_DESCRIPTION]


_NO_DOSE_OR_MAP = {"RTDOSE": "a radiation dose", "SEG": "a segmentation"}
_MAPS = {"Segmentation": "a segmentation", "RT Dose": "a radiation dose", "Parametric Map": "a parametric map"}


def no_photograph(kind: str, modality: str) -> str:
    """Say what an object's values are, where they are not those of an image that a device took; else empty."""
    for words, said in _MAPS.items():
        if words in kind:
            return said
    return _NO_DOSE_OR_MAP.get(modality, "")
