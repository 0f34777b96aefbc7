-- A results database as version 0.1.0 wrote it: the demo's run of `rules` (tables of migrations m001 to m003).
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'groundbench','m001_initial','2026-11-29 14:27:03.813283+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'groundbench','m002_evidence','2026-11-29 14:27:03.813813+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'groundbench','m003_training','2026-11-29 14:27:03.814390+00:00');
CREATE TABLE "cases" (
   "run" TEXT REFERENCES "runs"("id"),
   "case_id" TEXT,
   "ordinal" INTEGER,
   "status" TEXT NOT NULL,
   "reason" TEXT,
   "seconds" REAL,
   "host_bytes" INTEGER,
   "device_bytes" INTEGER,
   "attempts" INTEGER,
   "log" TEXT,
   "scored" INTEGER NOT NULL, "evidence" TEXT NOT NULL DEFAULT '{}',
   PRIMARY KEY ("run", "case_id")
);
INSERT INTO "cases" VALUES('rules-zero-shot-8629ac6b56','phantom_1_a_1',0,'ok','',1.10813421299997116875e+00,139354112,NULL,1,'logs/0-1.log',1,'{}');
INSERT INTO "cases" VALUES('rules-zero-shot-8629ac6b56','phantom_2_a_1',1,'ok','',1.09751019999998788989e+00,142888960,NULL,1,'logs/0-1.log',1,'{}');
INSERT INTO "cases" VALUES('rules-zero-shot-8629ac6b56','phantom_3_a_1',2,'ok','',8.00433367999971778772e-01,142888960,NULL,1,'logs/0-1.log',1,'{}');
INSERT INTO "cases" VALUES('rules-zero-shot-8629ac6b56','phantom_4_a_1',3,'ok','',1.12729835400000411027e+00,147648512,NULL,1,'logs/0-1.log',1,'{}');
CREATE TABLE "findings" (
   "run" TEXT REFERENCES "runs"("id"),
   "case_id" TEXT,
   "finding" TEXT,
   "ordinal" INTEGER,
   "category" TEXT,
   "text" TEXT,
   "status" TEXT NOT NULL,
   "reason" TEXT,
   "dice" REAL NOT NULL,
   "truth_voxels" INTEGER,
   "pred_voxels" INTEGER,
   "intersection" INTEGER,
   "mask_sha256" TEXT,
   "verdict" TEXT,
   "details" TEXT,
   PRIMARY KEY ("run", "case_id", "finding")
);
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_1_a_1','0',0,'2a','Fibrotic band in the medial segment of the right middle lobe','ok','',1.63265306122448966563e-01,21,77,8,'11d628ba91a2b1d11fe506a9828e43e92e53f549198284d777a7b9e036787f6b','{"level": "warning", "problems": [{"cause": "saved with numpy.eye(4)", "code": "identity_affine", "fix": "save with the CT''s own affine", "level": "warning", "message": "the mask declares no position"}]}','{"instances": {"distance": {"fn": 0, "fp": 3, "tp": 1}, "kept_intersection": 8, "kept_voxels": 65, "matched_dice": 0.45714285714285713, "overlap": {"fn": 0, "fp": 3, "tp": 1}}, "size_ratio": 3.8695411829740186e-05, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_1_a_1','1',1,'1f','Patchy differences in aeration in both upper lobes, with areas of decreased attenuation','ok','',0.322014498283098,4480,16488,3376,'9a3f929183dde13dcd7f78539bb7e7b0fc345fbbec06a43f34f03f6daa64d8e2','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 2, "fp": 1, "tp": 0}, "kept_intersection": 3376, "kept_voxels": 16488, "matched_dice": 0.0, "overlap": {"fn": 2, "fp": 1, "tp": 0}}, "size_ratio": 0.008255021190344573, "truth_entities": 2}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_1_a_1','2',2,'1d','Interlobular septal thickening in both lower lobes','ok','',6.05271514766592577672e-01,3589,2709,1906,'58b4371136508724c986ea70bb14f10b8cc1296a1e612a3427683e75a7f3acab','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 0, "fp": 12, "tp": 2}, "kept_intersection": 1882, "kept_voxels": 2625, "matched_dice": 1.2526347748534128, "overlap": {"fn": 0, "fp": 12, "tp": 2}}, "size_ratio": 0.006613230145568454, "truth_entities": 2}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_1_a_1','3',3,'2b','Subsegmental atelectasis in the superior segment of the right lower lobe','ok','',1.4516129032258065501e-01,62,62,9,'1d7d5db78bb288a58c1bda0df2ba0ed996d0bdb391d04316575853d7c879e550','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 1, "fp": 2, "tp": 0}, "kept_intersection": 0, "kept_voxels": 42, "matched_dice": 0.0, "overlap": {"fn": 1, "fp": 2, "tp": 0}}, "size_ratio": 0.00011424359683066151, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_1_a_1','4',4,'2e','Free left pleural effusion layering posteriorly, 32 mm at its thickest point','ok','',2.0238353196099675979e-01,4143,472,467,'5df457ed8aebe066060188803fe3cf49be39745f791b8fb258c56eff6551c2bc','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 1, "fp": 1, "tp": 0}, "kept_intersection": 467, "kept_voxels": 472, "matched_dice": 0.20238353196099676, "overlap": {"fn": 0, "fp": 0, "tp": 1}}, "size_ratio": 0.007634051962410172, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_2_a_1','0',0,'1c','Minimal paraseptal emphysema in the right upper lobe','ok','',1.31929266838863495925e-01,382,4651,332,'5664227a6445469b60b7497c81f8ee6317cdf882d93b980bccb53ee867227ac6','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 1, "fp": 2, "tp": 0}, "kept_intersection": 323, "kept_voxels": 4642, "matched_dice": 0.20657276995305165, "overlap": {"fn": 0, "fp": 1, "tp": 1}}, "size_ratio": 0.0006974340997805456, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_2_a_1','1',1,'2f','Honeycomb cysts in the subpleural lung in the left lower lobe','ok','',0.843503937007874,2901,3195,2571,'82ce6007b4be4736d9b7ca8cd19c3ad4d515a4bf224be133f56c3dba9c46faa0','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 0, "fp": 4, "tp": 1}, "kept_intersection": 2571, "kept_voxels": 3195, "matched_dice": 0.8671163575042159, "overlap": {"fn": 0, "fp": 4, "tp": 1}}, "size_ratio": 0.0052964825221554, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_2_a_1','2',2,'2g','Right pneumothorax, most pronounced anteriorly','ok','',9.22873691697998155269e-01,10597,9085,9082,'f050499dee2bfa73d5742ef65a4481e3b9c99cf38f366ba39d95ef4cfd2045c9','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 0, "fp": 0, "tp": 1}, "kept_intersection": 9082, "kept_voxels": 9085, "matched_dice": 0.9228736916979982, "overlap": {"fn": 0, "fp": 0, "tp": 1}}, "size_ratio": 0.01934740616590168, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_2_a_1','3',3,'1e','Centrilobular nodules with a tree-in-bud pattern in the left upper lobe','ok','',2.1768707482993196467e-01,65,82,16,'b032f5a40972f9578843b870bee875e5e787a752ea1055363f68613e49d07a31','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 60, "fp": 0, "tp": 0}, "kept_intersection": 0, "kept_voxels": 0, "matched_dice": 0.0, "overlap": {"fn": 60, "fp": 0, "tp": 0}}, "size_ratio": 0.00011867334158569493, "truth_entities": 60}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_3_a_1','0',0,'1b','Cylindrical bronchiectasis in the left upper lobe','ok','',3.89830508474576287181e-01,79,39,23,'f81bba2d26d9309ad8b9ad16c4826230ba6ec65d1a91eb6ab988cd425f826589','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 0, "fp": 0, "tp": 1}, "kept_intersection": 23, "kept_voxels": 23, "matched_dice": 0.45098039215686275, "overlap": {"fn": 0, "fp": 0, "tp": 1}}, "size_ratio": 0.00017195594445169998, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_3_a_1','1',1,'2a','Fibrotic bands in the lower lobes of both lungs','ok','',0.0243161094224924,68,261,4,'2e12fd5033a35560b6901d133b91f1144ebbc6a367e13a194e520f63878646d8','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 3, "fp": 8, "tp": 0}, "kept_intersection": 4, "kept_voxels": 210, "matched_dice": 0.0, "overlap": {"fn": 3, "fp": 8, "tp": 0}}, "size_ratio": 0.00014801271167994427, "truth_entities": 3}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_3_a_1','2',2,'2b','Subsegmental atelectasis in the left lower lobe','ok','',0.319634703196347,94,125,35,'43cdd8b7da1ecc0aa662eb660d2a3f19c88e0f18262617b2c968b14efd03ca6b','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 0, "fp": 3, "tp": 1}, "kept_intersection": 35, "kept_voxels": 123, "matched_dice": 0.5426356589147286, "overlap": {"fn": 0, "fp": 3, "tp": 1}}, "size_ratio": 0.0002046058073222759, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_3_a_1','3',3,'2d','Part-solid nodule in the anterior segment of the left upper lobe, measuring 18 x 15 mm','ok','',1.0,34,34,34,'130d8e3bf3657254c59fcf7db3ae485e3dd9ca2c0743e9afcb8b6fc494999b70','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 0, "fp": 0, "tp": 1}, "kept_intersection": 34, "kept_voxels": 34, "matched_dice": 1.0, "overlap": {"fn": 0, "fp": 0, "tp": 1}}, "size_ratio": 7.400635583997214e-05, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_3_a_1','4',4,'1d','Interlobular septal thickening in the bilateral lower lobes','ok','',5.69037656903765731719e-01,2833,2425,1496,'3fa72340ab8b8abd58c23f26dd845a6ff0628067188f2083f917cda8479cba97','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 0, "fp": 17, "tp": 2}, "kept_intersection": 1465, "kept_voxels": 2324, "matched_dice": 1.2697878222500647, "overlap": {"fn": 0, "fp": 17, "tp": 2}}, "size_ratio": 0.006166470767489443, "truth_entities": 2}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_4_a_1','0',0,'1d','Smooth interlobular septal thickening in the periphery in both lungs','ok','',4.98406628425748898791e-01,3956,2320,1564,'fde86789b70e5b642cdfcde9113fdc8ac4b07547f9276a91d954dddc01eb73d2','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 2, "fp": 20, "tp": 0}, "kept_intersection": 1525, "kept_voxels": 2233, "matched_dice": 0.666597847426704, "overlap": {"fn": 0, "fp": 18, "tp": 2}}, "size_ratio": 0.007009213323883771, "truth_entities": 2}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_4_a_1','1',1,'1a','Thickening of the segmental bronchial walls bilaterally','ok','',2.92730844793713140816e-01,303,1733,298,'39b90ec63c9e1afad9888a3a3cec2d83bead4eb728f064e81f79fba212cce8d2','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 1, "fp": 16, "tp": 2}, "kept_intersection": 295, "kept_voxels": 1626, "matched_dice": 1.7589302783779615, "overlap": {"fn": 0, "fp": 15, "tp": 3}}, "size_ratio": 0.0005368532955350815, "truth_entities": 3}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_4_a_1','2',2,'2h','33 x 31 mm thick-walled cavitary lesion in the superior segment of the right lower lobe','ok','',5.43909348441926399075e-01,245,108,96,'aa5c5bb5cd8a2bee06a5fee211262f9c4bb803eb58906bd5aea43a53923bb032','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 0, "fp": 0, "tp": 1}, "kept_intersection": 96, "kept_voxels": 108, "matched_dice": 0.5439093484419264, "overlap": {"fn": 0, "fp": 0, "tp": 1}}, "size_ratio": 0.0004340892983699504, "truth_entities": 1}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_4_a_1','3',3,'2d','Multiple calcified nodules in the bilateral upper lobes measuring up to 13 mm','ok','',6.79245283018867884727e-01,35,18,18,'3775bda1fbcb51c4e0f14b8a01795d69bb2ef8dab3abd3323db331771e2208cc','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 10, "fp": 0, "tp": 0}, "kept_intersection": 0, "kept_voxels": 0, "matched_dice": 0.0, "overlap": {"fn": 10, "fp": 0, "tp": 0}}, "size_ratio": 6.201275690999291e-05, "truth_entities": 10}');
INSERT INTO "findings" VALUES('rules-zero-shot-8629ac6b56','phantom_4_a_1','4',4,'2c','Hazy ground-glass opacity in the anterior segment of the left upper lobe','ok','',0.936923076923077,668,632,609,'8b2de1b6aa7fb90e19743a1c3e019ac907bb9f53a8a3fab063ba666352e7bdce','{"level": "ok", "problems": []}','{"instances": {"distance": {"fn": 0, "fp": 0, "tp": 1}, "kept_intersection": 609, "kept_voxels": 632, "matched_dice": 0.936923076923077, "overlap": {"fn": 0, "fp": 0, "tp": 1}}, "size_ratio": 0.001183557760453579, "truth_entities": 1}');
CREATE TABLE "metrics" (
   "run" TEXT REFERENCES "runs"("id"),
   "profile" TEXT,
   "metric" TEXT,
   "grp" TEXT,
   "value" REAL,
   "low" REAL,
   "high" REAL,
   "n" INTEGER,
   PRIMARY KEY ("run", "profile", "metric", "grp")
);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','dice','all',4.63585487970047283035e-01,3.32052622960562315856e-01,5.92733399562317408992e-01,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','dice','focal',5.25565116192237224979e-01,3.26341379644546070171e-01,7.27411332448694936125e-01,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','dice','by_size/small',3.77578046862288463358e-01,2.16380610580821780564e-01,5.59975167897566517005e-01,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','dice','per_case',4.66856138201228287876e-01,3.47964044366774416516e-01,5.59620764457166686156e-01,4);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','hit5','all',9.47368421052631526357e-01,8.42105263157894690095e-01,1.0,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','hit5','focal',9.0909090909090906063e-01,7.27272727272727292913e-01,1.0,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','hit5','by_size/small',0.9,0.7,1.0,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','hit5','per_case',0.95,8.50000000000000532907e-01,1.0,4);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','hit10','all',9.47368421052631526357e-01,8.42105263157894690095e-01,1.0,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','hit10','focal',9.0909090909090906063e-01,7.27272727272727292913e-01,1.0,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','hit10','by_size/small',0.9,0.7,1.0,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','mlhc2025','hit10','per_case',0.95,8.50000000000000532907e-01,1.0,4);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','dice','all',4.13743792359138828906e-01,2.72199383902882341423e-01,0.555659900567133,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','dice','focal',4.53363434277096688518e-01,2.41212889319276618804e-01,0.681965721509241,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','dice','by_size/small',2.83815190998197131033e-01,1.16584052132011936619e-01,4.7332861342124660231e-01,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','dice','per_case',4.1674360832669815613e-01,3.15861061965834188924e-01,4.73919836918815562398e-01,4);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','hit','all',7.89473684210526327476e-01,5.78947368421052654952e-01,9.47368421052631526357e-01,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','hit','focal',7.27272727272727292913e-01,4.54545454545454530315e-01,1.0,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','hit','by_size/small',0.6,0.3,0.9,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','hit','per_case',7.87500000000000088817e-01,7.62500000000000177635e-01,8.00000000000000710542e-01,4);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','dice_unfiltered','all',0.463585490094719,3.32052626136631778841e-01,5.92733401484645705536e-01,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','dice_unfiltered','focal',5.25565118837621247926e-01,3.26341382183622408241e-01,7.2741133450694472895e-01,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','dice_unfiltered','by_size/small',3.77578050831133327225e-01,2.16380615257479064217e-01,5.59975172217250460882e-01,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','dice_unfiltered','per_case',4.66856140288715470987e-01,3.47964047066990467271e-01,5.59620765929641272862e-01,4);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','instance_precision','all',1.84466019417475729502e-01,1.306767868437697655e-01,3.15789473684210508785e-01,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','instance_precision','focal',2.85714285714285698425e-01,1.30434782608695648553e-01,5.8333333333333337034e-01,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','instance_precision','by_size/small',2.05128205128205121088e-01,1.03426171529619803646e-01,4.61666666666666558604e-01,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','instance_recall','all',0.2,6.63439255068167116347e-02,0.875,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','instance_recall','focal',3.63636363636363646456e-01,1.34982563208369682472e-01,1.0,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','instance_recall','by_size/small',0.0975609756097561,2.127378138016435688e-02,8.00312499999999760191e-01,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','instance_f1','all',1.91919191919191906015e-01,9.54844006568144471058e-02,3.55962469733656139414e-01,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','instance_f1','focal',0.32,1.44825474586650349007e-01,6.66666666666666629659e-01,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','instance_f1','by_size/small',1.3223140495867768962e-01,3.70160884866767223022e-02,3.8472222222222213217e-01,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','distance_precision','all',1.3592233009708737379e-01,7.80099375716651888268e-02,2.50231481481481277118e-01,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','distance_precision','focal',0.25,1.08108108108108114109e-01,0.5,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','distance_precision','by_size/small',1.79487179487179487891e-01,9.09090909090909116141e-02,4.61666666666666558604e-01,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','distance_recall','all',1.47368421052631565215e-01,4.64982624966586502446e-02,6.66666666666666629659e-01,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','distance_recall','focal',3.18181818181818176771e-01,1.1413127413127413523e-01,9.0909090909090906063e-01,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','distance_recall','by_size/small',8.5365853658536591797e-02,0.02,0.6875,10);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','distance_f1','all',1.41414141414141408814e-01,0.0649703039478281,0.288,19);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','distance_f1','focal',0.28,1.17647058823529410132e-01,5.55555555555555580227e-01,11);
INSERT INTO "metrics" VALUES('rules-zero-shot-8629ac6b56','miccai2026','distance_f1','by_size/small',1.15702479338842978418e-01,3.50826193390452872877e-02,0.36,10);
CREATE TABLE "runs" (
   "id" TEXT PRIMARY KEY,
   "plan_key" TEXT NOT NULL,
   "attempt" INTEGER NOT NULL,
   "kind" TEXT NOT NULL,
   "plugin" TEXT NOT NULL,
   "title" TEXT,
   "plugin_version" TEXT,
   "variant" TEXT NOT NULL,
   "prompt" TEXT,
   "fine_tuned" INTEGER,
   "profile" TEXT,
   "dataset" TEXT,
   "fingerprint" TEXT,
   "split" TEXT,
   "engine" TEXT,
   "image_id" TEXT,
   "rankable" INTEGER,
   "unrankable" TEXT,
   "state" TEXT NOT NULL,
   "created" TEXT NOT NULL,
   "finished" TEXT,
   "n_cases" INTEGER,
   "n_findings" INTEGER,
   "plan" TEXT,
   "record" TEXT,
   "timing" TEXT
);
INSERT INTO "runs" VALUES('rules-zero-shot-8629ac6b56','8629ac6b56f763f194b9fa3091c559e3655ada8e6cab4cbc06d6bfefa2277c01',1,'measured','rules','Rules','1.0.0','zero-shot','text',0,'mlhc2025','phantom','sha256:c3ec41a863283f03b0b114e2d5749a3d1737230183486c13486f5e66cdd5d06a','test','docker','sha256:8d9d74253dcebac3ed966e956c2eb26e96d51e2c0c0b0f902e6b08cd2d46bbcc',1,'[]','done','2026-11-29T14:27:29+00:00','2026-11-29T14:27:34+00:00',4,19,'{"contract": 1, "fingerprint": "sha256:c3ec41a863283f03b0b114e2d5749a3d1737230183486c13486f5e66cdd5d06a", "image": "sha256:8d9d74253dcebac3ed966e956c2eb26e96d51e2c0c0b0f902e6b08cd2d46bbcc", "limit": null, "params": {}, "plugin": "rules", "plugin_version": "1.0.0", "scorer": "2", "seed": 0, "split": "test", "variant": "zero-shot", "weights": {"files": {}, "mode": "none"}}','{"dataset": {"licence": "Apache-2.0"}, "scorer": "2", "seed": 0}','{}');
CREATE TABLE "training" (
   "key" TEXT REFERENCES "trainings"("key"),
   "step" INTEGER,
   "steps" INTEGER NOT NULL,
   "epoch" REAL,
   "losses" TEXT NOT NULL,
   "val_dice" REAL,
   "seconds" REAL,
   PRIMARY KEY ("key", "step")
);
CREATE TABLE "trainings" (
   "key" TEXT PRIMARY KEY,
   "plugin" TEXT NOT NULL,
   "variant" TEXT NOT NULL,
   "dataset" TEXT,
   "state" TEXT NOT NULL,
   "reason" TEXT,
   "created" TEXT NOT NULL,
   "finished" TEXT,
   "seconds" REAL,
   "sha256" TEXT,
   "plan" TEXT,
   "record" TEXT
);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX "idx_runs_plan_key_attempt"
    ON "runs" ("plan_key", "attempt");
COMMIT;
